"""JobX: an actor runtime for map/reduce jobs over HTTP."""

from importlib.util import find_spec

__version__ = "1.0.0"


def is_compiled() -> bool:
    """Tell whether executors run compiled code in this build; setup.py compiles it."""
    spec = find_spec("jobx.values")
    return spec is not None and not str(spec.origin).endswith(".py")
