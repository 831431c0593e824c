"""Workflows, jobs, steps and handlers in the store."""
