"""Notifications: throttled, and sent over channels."""
