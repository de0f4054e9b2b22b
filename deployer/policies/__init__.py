"""The language of service labels: tag policies, versions and windows."""
