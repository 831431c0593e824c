from __future__ import annotations

import pytest

from jobx.actors.request.events import Kind
from jobx.actors.request.ids import invocation_id


@pytest.mark.parametrize(
    ("kind", "vertex", "name"), [("map", 0, "m0"), ("combine", 17, "c17"), ("reduce", 5, "r5")]
)
def test_an_invocation_is_named_by_its_kind_and_vertex(kind: Kind, vertex: int, name: str) -> None:
    assert invocation_id(kind, vertex) == name
