"""What author code finds in its scope."""
