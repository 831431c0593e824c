"""The actors of a request: supervisor, coordinator, invocations."""
