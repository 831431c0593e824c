from __future__ import annotations

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
