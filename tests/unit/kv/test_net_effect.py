"""What a unit of writes comes to, when it is played through."""

from __future__ import annotations

import pytest

from jobx.kv.net_effect import play
from jobx.kv.store import Create, Delete, DeletePrefix, Put, Replace, Unit


@pytest.mark.parametrize(
    ("unit", "conditions", "left", "refused"),
    [
        ([Create("a", b"1")], {"a": 0}, {"a": b"1"}, None),
        ([Replace("a", b"1", 7), Put("a", b"2")], {"a": 7}, {"a": b"2"}, None),
        ([Delete("a"), Create("a", b"1")], {}, {"a": b"1"}, None),
        ([Put("a", b"1"), Create("a", b"2")], {}, {"a": b"1"}, "a"),
        ([Create("b", b""), Put("a", b"1"), Delete("a", 7)], {"b": 0}, None, "a"),
        ([DeletePrefix("a"), Create("ab", b"1")], {}, {"ab": b"1"}, None),
        ([DeletePrefix("a"), Replace("ab", b"1", 7)], {}, {}, "ab"),
        ([Put("ab", b"1"), DeletePrefix("a")], {}, {}, None),
    ],
    ids=str,
)
def test_a_unit_is_played_through_before_it_is_sent(
    unit: Unit, conditions: dict[str, int], left: dict[str, bytes] | None, refused: str | None
) -> None:
    played = play(unit)
    assert (played.conditions, played.refused) == (conditions, refused)
    if left is not None:
        assert played.left == left
