"""JobX: an actor runtime for map/reduce jobs that are asked for over HTTP."""

from importlib.util import find_spec

__version__ = "1.0.0"


def is_compiled() -> bool:
    """Tell whether this is a build whose executors run compiled code; setup.py makes those."""
    spec = find_spec("jobx.values")
    return spec is not None and not str(spec.origin).endswith(".py")
