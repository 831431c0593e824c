"""Shows how a request goes on: as bars on a terminal, as lines or JSON elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from jobx import amounts, printable
from jobx.tools.shared import render
from jobx.views import AttemptFailure, StepSummary, SummaryView, WatchView

#: Steps that have a bar of their own.
MOST_BARS: Final = 20
#: Lines about counts come no faster.
LINE_S: Final = 1.0


class Show(Protocol):
    """Shows how a request stands, and what came since the last time."""

    def __call__(self, view: WatchView) -> None:
        """Show it."""


class StepCount(NamedTuple):
    """The mappers of one step, at all depths."""

    step_name: str
    mapped: int = 0
    finished: int = 0
    failed: int = 0
    retries: int = 0


def counts(steps: Iterable[StepSummary]) -> list[StepCount]:
    """Return how far each step is, in the order in which they were reached."""
    found: dict[str, StepCount] = {}
    for one in steps:
        name, mapped, finished, failed, retries = found.get(one.step_name, StepCount(one.step_name))
        ended = one.succeeded + one.failed + one.cancelled
        found[name] = StepCount(
            name, mapped + one.mapped, finished + ended, failed + one.failed, retries + one.retries
        )
    return list(found.values())


@contextmanager
def bars(console: Console, *, is_kept: bool = False) -> Iterator[Show]:
    """Give what shows a bar for each step.

    Args:
        console: The terminal.
        is_kept: The bars stay when all is over.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=not is_kept) as shown:
        tasks: dict[str, TaskID] = {}

        def show(view: WatchView) -> None:
            for line in failure_lines(view):
                shown.console.print(line, soft_wrap=True)
            for count in counts(view.summary.steps if view.summary else ())[:MOST_BARS]:
                name = printable.line(count.step_name)
                if name not in tasks:
                    tasks[name] = shown.add_task(name, total=None, note="")
                shown.update(
                    tasks[name], total=count.mapped, completed=count.finished, note=_note(count)
                )

        yield show


class Lines:
    """Writes a line for each failure, and how far a request is once a second at most."""

    def __init__(self) -> None:
        self._written_at: float | None = None

    def __call__(self, view: WatchView) -> None:
        """Write what is new."""
        for line in failure_lines(view):
            render.say(line)
        now = time.monotonic()
        is_due = self._written_at is None or now - self._written_at >= LINE_S
        if view.summary is not None and (is_due or view.is_end):
            self._written_at = now
            render.say(summary_line(view.summary))


def as_json(view: WatchView) -> None:
    """Write a view as a line of JSON."""
    sys.stdout.write(f"{render.to_json(view, indent=None)}\n")
    sys.stdout.flush()


def failure_lines(view: WatchView) -> Iterator[str]:
    """Yield what failed since the last time, first how much of it is left out."""
    if view.hidden:
        yield f"… {amounts.count(view.hidden, 'failure')} before these"
    yield from map(failure_line, view.failures)


def failure_line(failure: AttemptFailure) -> str:
    """Return what happened to an attempt, in one line."""
    step = f" ({failure.step_name})" if failure.step_name else ""
    more = f" and {failure.count - 1:,} more" if failure.count > 1 else ""
    then = "it failed" if failure.is_final else "it is tried again"
    return printable.line(
        f"{failure.invocation_id}{more}{step}, attempt {failure.attempt}:"
        f" {failure.type}: {failure.message}; {then}"
    )


def summary_line(summary: SummaryView) -> str:
    """Return how far a request is, step by step, in one line."""
    steps = [
        f"{count.step_name} {count.finished:,} of {count.mapped:,}{_comma(_note(count))}"
        for count in counts(summary.steps)
    ]
    return f"{summary.request.state}: {'; '.join(steps) or 'nothing was mapped yet'}"


def _note(count: StepCount) -> str:
    parts = {"failed": count.failed, "retried": count.retries}
    return ", ".join(f"{number:,} {word}" for word, number in parts.items() if number)


def _comma(text: str) -> str:
    return f", {text}" if text else ""
