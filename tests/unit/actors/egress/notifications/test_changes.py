from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from jobx.actors.egress.notifications.changes import HandlerChanges


class Versions:
    """Has the versions of a library."""

    def __init__(self) -> None:
        self.known = {("w", "a"): "1"}

    def versions(self) -> dict[tuple[str, str], str]:
        return dict(self.known)


def test_a_change_of_handlers_is_told_once_at_the_next_look() -> None:
    library: Any = Versions()
    told: list[str] = []
    changes = HandlerChanges(library, lambda notification: told.append(notification.subject))

    changes.look()
    library.known[("w", "a")] = "2"
    changes.look()
    changes.look()

    assert told == ["workflow w runs new code: a"]


class Unread(dict[tuple[str, str], str]):
    """Versions that nobody compares."""

    def __ne__(self, other: object) -> bool:
        raise AssertionError("they were compared")


def test_a_look_compares_nothing_while_the_library_is_the_same() -> None:
    versions = Unread()
    library: Any = SimpleNamespace(versions=lambda: versions)
    told: list[object] = []
    HandlerChanges(library, told.append).look()
    assert told == []
