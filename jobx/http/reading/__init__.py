"""Reads requests: bodies and headers."""
