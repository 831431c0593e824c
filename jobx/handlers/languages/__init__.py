"""Language processors: what turns the source of a handler into something that can be called."""
