"""The pure life of one request: events, state, decisions. No I/O, no clock."""
