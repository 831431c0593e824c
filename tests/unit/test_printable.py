from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import printable

ANY = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("é 漢 😀 \xa0", "é 漢 😀 \xa0"),
        ("👩\u200d💻 ❤\ufe0f\u200d🔥", "👩\u200d💻 ❤\ufe0f\u200d🔥"),
        ("می\u200cروم", "می\u200cروم"),
        ("क्\u200dष क्\u200cष", "क्\u200dष क्\u200cष"),
        ("pay\u200dpal a\u200cb 漢\u200c字", "pay\\u200dpal a\\u200cb 漢\\u200c字"),
        ("\u200da a\ufe0f 👩\u200d\u200d", "\\u200da a\\ufe0f 👩\u200d\\u200d"),
        ("می\u200c\u200cروم ❤\ufe0f\ufe0f", "می\u200c\\u200cروم ❤\ufe0f\\ufe0f"),
        ("\U0001f1e9\U0001f1ea", "\U0001f1e9\U0001f1ea"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "\\u0301" * 2),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f\x00\r", "\\x7f\\x00\\r"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("\u2066\u2069\u200f\ufeff", "\\u2066\\u2069\\u200f\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
        ("a\nb\tc", "a\\nb\\tc"),
    ],
)
def test_what_acts_on_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert printable.line(text) == shown


def test_lines_stay_where_they_are_wanted() -> None:
    assert printable.lines("a\n\tb\rc") == "a\n\tb\\rc"


#: Default-ignorable ones of other categories than those of formats, as Unicode 14 lists them.
IGNORABLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u3164\ufe00\ufe0f\uffa0\ufff0"
)
HIDING = {"Cf", "Cc", "Co", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("show", [printable.line, printable.lines, printable.json_text])
def test_no_code_point_without_a_shape_is_left(show: Callable[[str], str]) -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    hiding = [one for one in every if unicodedata.category(one) in HIDING]
    hiding += [*IGNORABLE, *map(chr, range(0xE0000, 0xE1000))]
    kept = "" if show is printable.line else "\n\t"
    shown = show("".join(one for one in hiding if one not in kept))
    assert shown.isascii() and shown.isprintable()


@given(ANY)
def test_nothing_that_acts_is_left(text: str) -> None:
    allowed = "\u200c\u200d\n\t"
    for shown in (printable.line(text), printable.lines(text)):
        left = [c for c in shown if not c.isprintable() and c not in allowed]
        assert [
            c for c in left if c < " " or "\x7f" <= c < "\xa0" or "\u2028" <= c <= "\u2069"
        ] == []
    assert "\n" not in printable.line(text)


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)))
def test_json_says_the_same(value: Any) -> None:
    shown = printable.json_text(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(shown) == value
    assert "\x1b" not in shown and "\x9b" not in shown and "\u202e" not in shown
