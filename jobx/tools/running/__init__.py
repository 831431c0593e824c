"""Runs requests from the command line: on the running node, or on one of its own."""
