"""Readers: a process beside the node that answers what is read from logs of requests."""
