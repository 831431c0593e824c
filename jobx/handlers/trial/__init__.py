"""Handlers tried without a request: single runs and examples."""
