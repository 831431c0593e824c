"""The way from a web process to its node."""
