"""What goes out: media types and results."""
