from __future__ import annotations

from contextlib import contextmanager
from typing import Any, cast

import pytest

from jobx.actors.inspection import trace
from jobx.errors import NotFound
from jobx.model import Counts
from jobx.tools.shared import printed
from jobx.tools.shared.command import Call
from jobx.tools.shared.printed import say_printed
from jobx.views import TraceNode


def node(name: str, output: str | None, *children: TraceNode) -> TraceNode:
    return TraceNode(
        invocation_id=name,
        kind="map",
        state="succeeded",
        step_name="s",
        handler_name="h",
        output=output,
        children=list(children),
    )


class Known:
    """A call whose store has one trace, or none."""

    def __init__(self, root: TraceNode | None) -> None:
        self.root = root

    @contextmanager
    def store(self) -> Any:
        if self.root is None:
            raise NotFound("store", "here")
        yield self


def said(root: TraceNode | None, monkeypatch: pytest.MonkeyPatch, invocations: int = 1) -> None:
    monkeypatch.setattr(trace, "read", lambda store, *_: store)
    counts = Counts(mapped=1, finished=1, retried=0, invocations=invocations)
    say_printed(cast("Call", Known(root)), "w", "r", counts)


def test_output_is_shown_on_stderr_in_the_order_of_the_tree(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(node("m0", "a\n", node("m1", "b\n", node("r1", "c")), node("m2", None)), monkeypatch)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "a\nb\nc\n")


def test_output_cannot_control_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(node("m0", "\x1b[2Jx\n"), monkeypatch)
    assert "\x1b" not in capsys.readouterr().err


def test_much_output_is_cut_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(node("m0", "x" * 2 * printed.MOST_CHARACTERS), monkeypatch)
    shown = capsys.readouterr().err
    assert len(shown) < printed.MOST_CHARACTERS + 200
    assert "request trace w r --detail" in shown


def test_the_log_of_a_large_request_is_not_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(node("m0", "x"), monkeypatch, printed.MOST_READ + 1)
    assert capsys.readouterr().err.startswith("jobx: jobx request trace w r --detail")


def test_output_that_cannot_be_read_is_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(None, monkeypatch)
    assert "cannot be read" in capsys.readouterr().err
