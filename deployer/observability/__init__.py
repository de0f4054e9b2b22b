"""Logs, metrics, health and notifications."""
