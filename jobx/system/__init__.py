"""What is asked of the operating system: the only rooms that know its calls."""
