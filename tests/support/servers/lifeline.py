"""What the server programs of tests share: they say where they are, and end with their parent."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(**facts: Any) -> None:
    """Tell the parent that the server answers, and where."""
    sys.stdout.write(f"{json.dumps(facts)}\n")
    sys.stdout.flush()


def wait_for_parent() -> None:
    """Return when the parent is gone or wants the end."""
    sys.stdin.read()
