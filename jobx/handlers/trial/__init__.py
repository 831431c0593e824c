"""Runs of handlers without a request: single runs and examples."""
