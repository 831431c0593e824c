"""What an operator does with a whole cluster: set it up, look at it, take a node out of it."""
