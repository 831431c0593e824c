"""What ``Connection`` takes past gunicorn's parser is what the parser would have made of it.

It uses names of gunicorn that are its own. These tests fail when it gives them another meaning.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from gunicorn.asgi.parser import PythonProtocol
from gunicorn.asgi.protocol import BodyReceiver
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

from jobx.http.web_worker import Connection, WebWorker

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"0123456789" * 4


class Reading(Connection):
    """A connection of gunicorn that has no transport, only its parser and what takes bodies."""

    def __init__(self) -> None:
        worker = SimpleNamespace(cfg=Config(), log=None, asgi=None, silent={}, nr_conns=0)
        super().__init__(cast("WebWorker", worker))
        self.is_paused = False
        self._pieces = []
        self._body_receiver = BodyReceiver(SimpleNamespace(content_length=1, chunked=False), self)
        self._callback_parser = PythonProtocol(
            on_body=self._on_body, on_message_complete=self._on_message_complete
        )

    def _pause_reading(self) -> None:
        self.is_paused = True

    def parse(self, piece: bytes) -> None:
        self._callback_parser.feed(piece)
        self._pass_on()

    @property
    def state(self) -> tuple[bytes, bool, Any, int, bytes]:
        receiver, parser = self._body_receiver, self._callback_parser
        body = b"".join(receiver._chunks)
        assert len(body) == receiver.buffered
        rest = bytes(parser._buffer)
        return body, receiver._complete, parser._state, parser._body_remaining, rest


def pieces(text: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(text) + 1) for cut in cuts} | {len(text)})
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    "text",
    [
        HEAD % len(BODY) + BODY,
        HEAD % len(BODY) + BODY + NEXT,
        HEAD % len(BODY) + BODY[:-1],
        HEAD % 0 + NEXT,
        CHUNKED + b"28\r\n" + BODY + b"\r\n0\r\n\r\n" + NEXT,
        NEXT + NEXT,
    ],
    ids=["whole", "with a request behind it", "cut off", "empty", "chunked", "no body"],
)
@given(cuts=st.lists(st.integers(0, 1 << 16), max_size=12))
def test_a_connection_is_the_same_after_each_piece(text: bytes, cuts: list[int]) -> None:
    taking, parsing = Reading(), Reading()
    for piece in pieces(text, cuts):
        if not taking._take_body(piece):
            taking.parse(piece)
        parsing.parse(piece)
        assert taking.state == parsing.state


def test_a_part_of_a_body_passes_the_parser_unless_it_is_the_last() -> None:
    reading = Reading()
    reading.parse(HEAD % len(BODY))
    assert reading._take_body(BODY[:30])
    assert not reading._take_body(BODY[30:])
    assert not reading._take_body(BODY[30:] + NEXT)
    assert reading.state[:2] == (BODY[:30], False)


def test_parts_that_nobody_reads_pause_reading() -> None:
    reading = Reading()
    most = reading._max_buffer_size
    reading.parse(HEAD % (4 * most))
    assert reading._take_body(bytes(most))
    assert not reading.is_paused
    assert reading._take_body(b"1")
    assert reading.is_paused


def test_another_parser_gets_all_parts() -> None:
    class Other(PythonProtocol):  # type: ignore[misc]  # untyped
        """Such as that in C, which copies nothing."""

    reading = Reading()
    reading._callback_parser = Other(on_body=reading._on_body)
    reading.parse(HEAD % len(BODY))
    assert not reading._take_body(BODY[:30])
