"""An actor runtime that knows nothing of map/reduce."""
