from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.handlers.authoring import strict_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    "\n\r\t :#-'\"\\|>%@\u2028\u0085\ufeff a1x", max_size=10
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    LEAVES | TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_as_the_same(value: object) -> None:
    assert repr(strict_yaml.read(strict_yaml.write(value))) == repr(value)


def test_text_of_several_lines_stays_readable() -> None:
    assert strict_yaml.write({"a": ["x\ny\n"], "no": "on"}) == "a:\n  - |\n    x\n    y\nno: on\n"


def test_each_part_has_its_line() -> None:
    _, lines = strict_yaml.read_with_lines("a:\n  b: 1\nc: [1,\n  2]\n")
    assert lines == {(): 1, ("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", 0): 3, ("c", 1): 4}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2", r"'a' is repeated \(line 2\)"),
        ("a: &x 1\nb: *x", "aliases are not accepted"),
        ("a: !!python/name:os.system", r"line 1"),
        ("a: 1\nb: !!binary aGk=", r"tags, which .* \(line 2\)"),
        ("a: !!bool maybe", r"line 1"),
        ("!!map x", r"line 1"),
        ("? !!set {b}\n: 1", r"line 1"),
        ("a: ! 1", r"line 1"),
        ("a: [1,\nb: }", r"line 2"),
        ("[" * 2000, "nest deeper than"),
        ("- " * 5000, "nest too deep"),
        ("a: \x00", "special characters are not allowed"),
        ("a: 1\n---\nb: 1", "line 2"),
    ],
)
def test_what_json_lacks_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        strict_yaml.read(text)
