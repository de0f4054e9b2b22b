"""Celery over SQS, with events and remote control over Redis."""
