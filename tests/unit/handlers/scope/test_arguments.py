from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.scope.arguments import Arguments, bind, cast

ROOT = Arguments({"a": "1", "b": 2}, is_root=True)


def test_arguments_are_pairs_and_are_found_by_key() -> None:
    assert list(ROOT) == [("a", "1"), ("b", 2)]
    assert (len(ROOT), list(ROOT.keys()), ROOT["a"]) == (2, ["a", "b"], "1")
    assert (ROOT.get("c"), ROOT.get("c", 3), "b" in ROOT, "c" in ROOT) == (None, 3, True, False)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("str", "x", "x"),
        ("str", 5, "5"),
        ("int", "7", 7),
        ("int", 7.0, 7),
        ("int", Decimal("7E+2"), 700),
        ("float", Decimal("1E+9999999"), float("inf")),
        ("float", "1.5", 1.5),
        ("float", 2, 2.0),
        ("bool", "false", False),
        ("bool", "Yes", True),
        ("bool", 0, False),
        ("bytes", "é", "é".encode()),
        ("list", [1], [1]),
        ("dict", {"a": 1}, {"a": 1}),
        ("any", None, None),
    ],
)
def test_a_value_is_cast_to_the_type_of_its_argument(kind: str, given: Any, expected: Any) -> None:
    cast_value = cast(Arguments({"a": given}, is_root=True), [["a", kind]])["a"]
    assert (type(cast_value), cast_value) == (type(expected), expected)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("str", None),
        ("str", [1]),
        ("int", "seven"),
        ("int", 7.5),
        ("int", float("inf")),
        ("int", Decimal("7.5")),
        ("int", Decimal("1E+1000000")),
        ("int", Decimal("1E+999999999999")),
        ("int", Decimal("1E-999999999999")),
        ("int", "1" * 1_000_000),
        ("float", 10**400),
        ("float", "nan"),
        ("bool", "maybe"),
        ("bool", [1]),
        ("bytes", 5),
        ("list", "abc"),
        ("dict", [1]),
    ],
)
def test_a_value_that_cannot_be_cast_is_refused_with_name_value_and_type(
    kind: str, given: Any
) -> None:
    with pytest.raises(Misuse) as refused:
        cast(Arguments({"a": given}, is_root=True), [["a", kind]])
    assert str(refused.value) == f"argument a: {shorten(given)} is not a valid {kind}"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ([["a", "str"], ["b", "int"], ["c", "int"]], "argument c is missing"),
        ([["a", "str"]], "argument 'b' is unknown; known are: a"),
        ([["a", "str"], ["b", "colour"]], "argument b: there is no type named colour"),
    ],
)
def test_the_arguments_of_a_request_must_be_those_of_the_spec(spec: Any, reason: str) -> None:
    with pytest.raises(Misuse, match=reason):
        cast(ROOT, spec)


def test_an_argument_with_a_default_may_be_missing() -> None:
    assert len(cast(ROOT, [["a", "str"], ["b", "int"], ["c", "int"]], optional=["c"])) == 2


def test_a_mapped_pair_is_cast_by_its_key_or_by_the_fields_of_its_value() -> None:
    spec = [["a", "int"], ["b", "int"]]
    assert cast(Arguments({"a": "1"}), spec)["a"] == 1
    assert cast(Arguments({"k": {"a": "1", "z": "2"}}), spec)["k"] == {"a": 1, "z": "2"}


@pytest.mark.parametrize(
    "given", [ROOT, Arguments({"key": {"a": "1", "b": 2, "z": 3}})], ids=["root", "mapped"]
)
def test_parameters_are_bound_by_name(given: Arguments) -> None:
    assert bind(given, ["b"], ["a", "c"]) == {"a": "1", "b": 2}


def test_a_parameter_without_value_is_refused_by_name() -> None:
    with pytest.raises(Misuse, match="argument c is missing"):
        bind(ROOT, ["a", "c"], [])
