"""A node: the actor runtime, the pure life of a request, the actors around it, and the adapters."""
