from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator

import pytest

from jobx import errors, meanings, values
from jobx.errors import Conflict, InternalError, JobxError, Unavailable, from_wire, quote

ARGUMENTS = {"str": "some words", "float": 2.5}


def _tree(cls: type[JobxError]) -> Iterator[type[JobxError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


ALL = list(_tree(JobxError))


def _made(cls: type[JobxError]) -> JobxError:
    if cls is JobxError:
        return JobxError("some words")
    parameters = list(inspect.signature(cls).parameters.values())
    return cls(*(ARGUMENTS[parameter.annotation] for parameter in parameters))


def _named(cls: type[JobxError]) -> str:
    return cls.__name__


@pytest.mark.parametrize("cls", ALL, ids=_named)
def test_an_error_comes_back_from_the_wire_with_its_class_and_sentence(
    cls: type[JobxError],
) -> None:
    error = _made(cls)
    again = from_wire(values.unpack(values.pack(error.to_wire())))
    assert type(again) is cls
    assert str(again) == str(error)
    assert again.args == error.args


@pytest.mark.parametrize("cls", ALL, ids=_named)
def test_what_says_when_to_try_again_promises_that_nothing_was_started(
    cls: type[JobxError],
) -> None:
    meaning = meanings.meaning_of(cls)
    assert (meaning.again == "later") <= (meaning.happened == "nothing")
    assert issubclass(cls, Unavailable) <= (meaning.happened == "nothing")


@pytest.mark.parametrize("cls", ALL, ids=_named)
def test_what_may_have_happened_is_to_be_looked_at_first(cls: type[JobxError]) -> None:
    meaning = meanings.meaning_of(cls)
    assert (meaning.happened == "maybe") <= (meaning.again == "look")


def test_each_class_has_a_code_of_its_own() -> None:
    counted = Counter(cls.code for cls in ALL)
    assert max(counted.values()) == 1


@pytest.mark.parametrize("cls", ALL, ids=_named)
def test_a_sentence_tells_every_argument(cls: type[JobxError]) -> None:
    error = _made(cls)
    template = cls.template
    for place in range(len(error.args)):
        assert f"{{{place}" in template or place >= template.count("{")
    assert "{" not in str(error)


@pytest.mark.parametrize("cls", ALL, ids=_named)
def test_each_class_stands_in_the_tree_of_the_documentation(cls: type[JobxError]) -> None:
    assert cls.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"code": "unheard", "args": ["x"]},
        {"code": "conflict"},
        {"code": "conflict", "args": "key"},
        {"code": "conflict", "args": []},
        {"code": "conflict", "args": ["key", "more"]},
        {"code": "unavailable", "args": ["busy", "soon"]},
    ],
    ids=str,
)
def test_what_is_no_error_known_here_is_a_fault_of_ours(wire: dict[str, object]) -> None:
    assert isinstance(from_wire(wire), InternalError)


def test_an_error_says_when_to_try_again() -> None:
    assert Unavailable("busy").retry_after_s == 1.0
    assert Unavailable("busy", 2).retry_after_s == 2.0


def test_braces_in_an_argument_are_told_as_they_are() -> None:
    assert str(Conflict("{0} {x}")) == "{0} {x} was changed by somebody else"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ([1] * 100, "[1, 1, 1, ..."),
        (1 << 70_000, "an int"),
    ],
    ids=["text", "list", "integer"],
)
def test_any_value_can_be_quoted(value: object, text: str) -> None:
    assert quote(value, 13) == text


def test_a_value_deeper_than_the_stack_can_be_quoted() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert quote(value) == "a list"


@pytest.mark.parametrize(
    ("retry_after_s", "sentence"), [(0.0, "gone"), (0.5, "gone; try again in 0.5 s")]
)
def test_a_sentence_tells_when_to_try_again_unless_that_is_now(
    retry_after_s: float, sentence: str
) -> None:
    assert str(Unavailable("gone", retry_after_s)) == sentence


@pytest.mark.parametrize(
    "value", ["a" * 500, b"a" * 500, [0] * 500, {"a": ["b" * 500]}, {1: [[2]]}]
)
def test_quote_is_the_beginning_of_what_python_writes(value: object) -> None:
    text = repr(value)
    assert quote(value) == (text if len(text) <= 80 else f"{text[:77]}...")


def test_quote_looks_at_the_beginning_only() -> None:
    class Unseen:
        def __repr__(self) -> str:
            raise AssertionError("it was looked at")

    assert quote({"a": [*range(100), Unseen()]}).startswith("{'a': [0, 1, 2")
