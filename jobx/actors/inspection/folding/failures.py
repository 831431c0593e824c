"""What is kept of failed attempts: groups of them, different failures, and the first attempts."""

from __future__ import annotations

from typing import Final

from jobx.actors.inspection.folding import glance
from jobx.actors.inspection.folding.view_columns import FailedAttempt, Group, ShortFailure

#: Different failures, groups of them and failed attempts that are kept.
MAX_FAILURES: Final = 1000
MAX_GROUPS: Final = 100
MAX_FAILED: Final = 10_000
_MESSAGE_CHARACTERS: Final = 200
_OTHERS: Final[tuple[str, str | None, str]] = ("others", None, "")


class Failures:
    """Failed attempts of one request.

    Attributes:
        groups: See ``Group``.
        failures: Different failures.
        attempts: The first of them.
    """

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.failures: list[ShortFailure] = []
        self.attempts: list[FailedAttempt] = []
        self._group_of: dict[tuple[str, str | None, str], Group] = {}
        self._failure_of: dict[ShortFailure, int] = {}

    def add(
        self, event: glance.Retried | glance.Failed, first: FailedAttempt, count: int, step: str
    ) -> None:
        """Count failed attempts, of which one is given."""
        fault = event.failure
        if len(self.attempts) < MAX_FAILED:
            self.attempts.append(first)
        key = fault.type, line_of(fault.traceback), step
        group = self._group_of.get(key)
        if group is None:
            if len(self.groups) >= MAX_GROUPS:
                key = _OTHERS
            group = self._group_of.get(key)
        if group is None:
            group = self._group_of[key] = Group(*key, first.name, _cut(fault.message))
            self.groups.append(group)
        group.count += count
        group.is_final |= isinstance(event, glance.Failed)

    def index(self, fault: glance.Fault) -> int:
        """Return the index of a failure in ``failures``."""
        rest = fault.handler_name, fault.attempt
        found = ShortFailure(fault.kind, fault.type, _cut(fault.message), *rest)
        if len(self.failures) >= MAX_FAILURES and found not in self._failure_of:
            found = ShortFailure(fault.kind, fault.type, "", *rest)
        if len(self.failures) >= 2 * MAX_FAILURES and found not in self._failure_of:
            found = self.failures[-1]
        index = self._failure_of.get(found)
        if index is None:
            index = self._failure_of[found] = len(self.failures)
            self.failures.append(found)
        return index


def line_of(traceback: str) -> str | None:
    """Return the innermost line of the author that a traceback quotes: ``"file", line 3, in f``."""
    lines = (line.strip() for line in traceback.splitlines())
    found = [line for line in lines if line.startswith("File ")]
    return found[-1].removeprefix("File ") if found else None


def _cut(message: str) -> str:
    if len(message) <= _MESSAGE_CHARACTERS:
        return message
    return f"{message[: _MESSAGE_CHARACTERS - 1]}…"
