"""What comes in: bodies and headers."""
