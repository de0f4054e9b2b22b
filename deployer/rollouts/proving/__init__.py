"""Proofs after a roll-out has converged: a smoke test, alarms and queries that stay quiet, a bake."""
