"""What web workers run: HTTP in front of a node."""
