"""Failures of what an executor had."""

from __future__ import annotations

import pytest

from jobx.actors.executor_failures import exited, unsendable
from jobx.errors import FrameError, JobxError, NotFound, StoreRefused, StoreUnavailable


@pytest.mark.parametrize(
    ("status", "text"), [(3, "code 3"), (-9, "SIGKILL"), (-200, "signal 200")], ids=str
)
def test_exit_status_is_named(status: int, text: str) -> None:
    assert exited(status).message.endswith(text)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreUnavailable("the store does not answer"), "disk"),
        (StoreRefused("the store", "disk I/O error"), "disk"),
        (FrameError("a frame is too large"), "limit"),
        (NotFound("handler version", "flow/1"), "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_sent_fails_by_what_is_wrong(error: JobxError, kind: str) -> None:
    assert unsendable(error).kind == kind
