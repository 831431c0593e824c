from __future__ import annotations

import pytest

from jobx.actors.request.branches import ROOT
from jobx.actors.request.events import Failed
from jobx.actors.request.open_at_end import OPEN, groups_then, open_then
from jobx.actors.request.standing import Group
from jobx.model import Failure

FAILURE = Failure(kind="timeout", type="T", message="")


def event(*wires: object) -> Failed:
    return Failed(1.0, "map", ROOT, ROOT, 1, FAILURE, {ROOT: {OPEN: list(wires)}})


def test_groups_are_read_as_they_were_with_ages_for_instants() -> None:
    queued = Group("queued", "map", "s", 4, 1, since=5.0, node="b", executor=7, error="gpu")
    waits = Group("children", "map", "s", 1, 0)
    then = groups_then(event(*open_then([queued, waits], 7.5)))
    assert then == [
        Group("queued", "map", "s", 4, 1, since=2.5, node="b", executor=7, error="gpu"),
        waits,
    ]


@pytest.mark.parametrize("wire", [None, 7, [], ["of a later version"] * 9])
def test_what_has_another_form_is_left_out(wire: object) -> None:
    assert groups_then(event(wire)) == []


def test_an_event_without_the_note_says_nothing() -> None:
    assert groups_then(Failed(1.0, "map", ROOT, ROOT, 1, FAILURE)) == []
