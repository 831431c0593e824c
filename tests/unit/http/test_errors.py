from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.errors import JobxError, Overloaded, Unavailable
from jobx.http.errors import MAX_HEADER_CHARS, header_text, status_of


def family(cls: type[JobxError]) -> Iterator[type[JobxError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("kind", list(family(JobxError)))
def test_every_error_has_a_status(kind: type[JobxError]) -> None:
    status, title = status_of(kind)
    assert 400 <= status < 600
    assert title


def test_error_without_a_row_has_that_of_its_base() -> None:
    assert status_of(Overloaded) == status_of(Unavailable)


@given(st.text())
def test_header_text_is_one_bounded_line_of_latin_1(text: str) -> None:
    header = header_text(text)
    assert len(header.encode("latin-1")) <= MAX_HEADER_CHARS
    assert all(char.isprintable() or char in "\xa0\xad" for char in header)
