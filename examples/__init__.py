"""Examples: word count, and the demo that runs it."""
