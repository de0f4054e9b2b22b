"""ECS and its ledger over the wire: requests, credentials, quotas and what answers mean."""
