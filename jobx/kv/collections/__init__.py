"""Queues and trees for programs."""
