"""A node: the actor runtime, the pure life of a request, the actors of it, and the adapters."""
