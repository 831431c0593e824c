"""A reader some of whose answers hang, or need more memory than there is."""

from __future__ import annotations

import sys
import time
from typing import Any

from jobx import questions, views
from jobx.actors.readers.main import main
from jobx.kv.store import Store


def hang(_: Store, __: Any) -> views.View:
    """Take longer than any test."""
    time.sleep(3600)
    raise AssertionError


def overflow(_: Store, __: Any) -> views.View:
    """Need more memory than any limit."""
    raise AssertionError(len(bytearray(1 << 50)))


if __name__ == "__main__":
    main(sys.argv[1:], {questions.GetTimeline: hang, questions.GetTrace: overflow})
