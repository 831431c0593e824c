"""Dumps of requests: every invocation, with all that is known of it."""
