from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.handlers.languages import lines

_DIGITS = st.text("0123456789.eE+-", min_size=1, max_size=24)
_TEXTS = st.lists(
    st.sampled_from(["a", "é", "😀", '"', "\\", "\\n", "\n", "\\ud83d", "\\ude00", ",", "]", "}"])
)
_WRITTEN = st.one_of(
    _DIGITS,
    st.integers().map(str),
    st.floats().map(repr),
    _TEXTS.map(lambda parts: f'"{"".join(parts)}"'),
    st.sampled_from(["null", "true", "false", "[1]", "[]", "{}", '{"$bytes":"AAE="}', "nul", ""]),
)


@given(_WRITTEN, _WRITTEN)
def test_scalar_pairs_are_those_of_the_strict_reader(key: str, value: str) -> None:
    found = lines.scalar_pairs(f'{{"pairs":[[{key},{value}],[1,2]]}}'.encode())
    if found is not None:
        read = values.read_json(f"[[{key},{value}],[1,2]]")
        assert repr(found) == repr([tuple(pair) for pair in read])


@pytest.mark.parametrize(
    "line",
    [
        b'{"pairs":[[1,2]],"pairs":[[1,3]]}',
        b'{"pairs":[[1,2]],"end":true}',
        b'{"pairs":[[1,2,3]]}',
        b'{"pairs":[[1,{"a":1,"a":2}]]}',
        b'{"pairs":[[1,1e999]]}',
        b'{"pairs":[[1,NaN]]}',
        b'{"pairs":[["\xff",1]]}',
        b'{"pairs":[["\\ud800",1]]}',
        b'{"pairs":[[1,' + b"9" * 4301 + b"]]}",
        b'{"pairs":[[1,2]]',
        b'{"pairs":[[1,2]]}}',
        b'{"pairs":[' + b"[1,2]," * (1 << 18) + b"[1,2]]}",
        b'{"pair":[1,2]}',
        b"[1,2]",
    ],
)
def test_all_but_scalar_pairs_is_left_to_the_strict_reader(line: bytes) -> None:
    assert lines.scalar_pairs(line) is None


def test_scalar_pairs_of_a_line_are_read() -> None:
    line = b'{"pairs":[["a",1],[1.5,null],[true,"\xc3\xa9"],[18446744073709551616,-0.0]]}'
    wanted = [("a", 1), (1.5, None), (True, "é"), (18446744073709551616, -0.0)]
    assert repr(lines.scalar_pairs(line)) == repr(wanted)
