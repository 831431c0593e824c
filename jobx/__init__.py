"""JobX: an actor runtime for map/reduce jobs that are asked for over HTTP."""

__version__ = "1.0.0"
