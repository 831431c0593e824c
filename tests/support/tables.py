"""One test over a long table of like rows, where a test for each row would say no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def check_each(rows: Iterable[Any], check: Callable[[Any], object]) -> None:
    """Check all rows, of which there are some; fail with each that is wrong, and why."""
    wrong, table = [], list(rows)
    assert table
    for row in table:
        try:
            check(row)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - it is told with its row
            wrong.append(f"{row!r:.200}: {type(error).__name__}: {error}")
    if wrong:
        pytest.fail("\n".join(wrong))
