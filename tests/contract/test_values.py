"""One definition of a value: what goes in comes out, by every way, or is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from jobx.errors import InvalidInput
from tests.support import edges
from tests.support.tables import check_each
from tests.support.value_paths import CARRIERS, HTTP, PATHS, REFUSALS


@pytest.mark.parametrize("name", PATHS)
def test_a_value_at_an_edge_comes_back_with_its_type(name: str) -> None:
    def check(value: Any) -> None:
        assert edges.same(PATHS[name](value), value)

    check_each(edges.VALUES, check)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("maps", [False, True])
def test_a_value_nests_as_deep_as_it_may(name: str, maps: bool) -> None:
    def check(depth: int) -> None:
        value = edges.nested(depth, maps=maps)
        if name in HTTP and depth > 62:  # a body counts its own maps
            with pytest.raises(InvalidInput, match=r"nests? deeper than 64"):
                PATHS[name](value)
        else:
            assert edges.same(PATHS[name](value), value)

    check_each([61, 62, 63, 64], check)


@pytest.mark.parametrize("name", PATHS)
@given(value=edges.some_values)
@settings(max_examples=40, deadline=None)
def test_any_value_comes_back_with_its_type(name: str, value: Any) -> None:
    assert edges.same(PATHS[name](value), value)


@pytest.mark.parametrize("name", [name for name in PATHS if name not in CARRIERS])
def test_what_is_no_value_is_refused_by_name_at_every_door(name: str) -> None:
    def check(kind: str) -> None:
        with pytest.raises(REFUSALS):
            PATHS[name](edges.NO_VALUES[kind])

    check_each(edges.NO_VALUES, check)
