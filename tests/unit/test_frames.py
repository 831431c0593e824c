from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import frames, values
from jobx.errors import FrameError
from jobx.frames import FrameDecoder, FrameSocket

some_frames = st.lists(
    st.dictionaries(st.text(max_size=4), st.integers() | st.binary(max_size=20), max_size=3),
    max_size=5,
)
HEAD = struct.Struct(">I")


@pytest.fixture
def ends() -> Iterator[tuple[FrameSocket, socket.socket]]:
    """A frame socket, and the bare socket at its other end."""
    here, there = socket.socketpair()
    there.settimeout(60)
    framed = FrameSocket(here)
    yield framed, there
    framed.close()
    there.close()


def _frames(decoder: FrameDecoder, chunk: bytes) -> list[Any]:
    return list(map(values.unpack, decoder.bodies(chunk)))


def _next(framed: FrameSocket) -> Any:
    return values.unpack(framed.receive_body() or b"")


def _fed(decoder: FrameDecoder, stream: bytes, cuts: list[int]) -> list[Any]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    return [frame for piece in pieces for frame in _frames(decoder, piece)]


@given(some_frames, st.lists(st.integers(0, 1 << 20), max_size=10))
def test_a_stream_gives_the_same_frames_however_it_is_cut(
    several: list[dict[str, Any]], cuts: list[int]
) -> None:
    stream = b"".join(map(frames.encode, several))
    assert _fed(FrameDecoder(), stream, cuts) == several


@pytest.mark.parametrize(
    "unsendable",
    [object(), {"a": 1 << 64, "b": {1, object()}}, (1 << 64, "\ud800"), "\ud800"],
)
def test_a_struct_that_cannot_be_sent_is_a_frame_error(unsendable: object) -> None:
    with pytest.raises(FrameError):
        frames.encode(unsendable)


def test_a_frame_may_come_byte_by_byte() -> None:
    stream = frames.encode({"t": "exit"})
    decoder = FrameDecoder()
    assert [_frames(decoder, bytes([byte])) for byte in stream[:-1]] == [[]] * (len(stream) - 1)
    assert _frames(decoder, stream[-1:]) == [{"t": "exit"}]


def test_frames_that_were_not_taken_come_with_the_next_chunk() -> None:
    decoder = FrameDecoder()
    feeding = decoder.bodies(frames.encode({"n": 1}) + frames.encode({"n": 2}))
    assert values.unpack(next(feeding)) == {"n": 1}
    feeding.close()
    assert _frames(decoder, b"") == [{"n": 2}]


def test_a_length_over_the_limit_is_refused_before_its_body_comes() -> None:
    decoder = FrameDecoder(max_bytes=100)
    with pytest.raises(FrameError, match="101 bytes"):
        _frames(decoder, HEAD.pack(101))


def test_a_frame_of_just_the_limit_is_taken() -> None:
    stream = frames.encode({"t": "x" * 50})
    decoder = FrameDecoder(max_bytes=len(stream) - HEAD.size)
    assert _frames(decoder, stream) == [{"t": "x" * 50}]


def test_a_frame_with_what_is_no_value_is_refused() -> None:
    with pytest.raises(FrameError, match="object"):
        frames.encode({"t": object()})


def test_a_frame_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 10)
    with pytest.raises(FrameError, match="larger than 10"):
        frames.encode({"t": "x" * 10})


def test_frames_go_both_ways_over_a_socket(ends: tuple[FrameSocket, socket.socket]) -> None:
    framed, bare = ends
    framed.send({"t": "ready"})
    assert bare.recv(1000) == frames.encode({"t": "ready"})
    bare.sendall(frames.encode({"n": 1}) + frames.encode({"n": 2}))
    assert [_next(framed), _next(framed)] == [{"n": 1}, {"n": 2}]


def test_a_peer_that_closes_between_frames_ends_the_stream(
    ends: tuple[FrameSocket, socket.socket],
) -> None:
    framed, bare = ends
    bare.sendall(frames.encode({"n": 1}))
    bare.close()
    assert _next(framed) == {"n": 1}
    assert framed.receive_body() is None


def test_a_stream_that_holds_something_else_is_refused(
    ends: tuple[FrameSocket, socket.socket],
) -> None:
    framed, bare = ends
    bare.sendall(HEAD.pack(frames.MAX_FRAME_BYTES + 1))
    bare.close()
    with pytest.raises(FrameError, match="announced"):
        framed.receive_body()


@pytest.mark.parametrize(
    ("stream", "reason"),
    [(b"\0\0", "inside a frame's head"), (HEAD.pack(5) + b"\x81", "inside a frame$")],
)
def test_a_stream_that_ends_inside_a_frame_is_a_connection_that_was_lost(
    ends: tuple[FrameSocket, socket.socket], stream: bytes, reason: str
) -> None:
    framed, bare = ends
    bare.sendall(stream)
    bare.close()
    with pytest.raises(ConnectionError, match=reason):
        framed.receive_body()


@pytest.mark.parametrize("place", [0, 1])
def test_the_number_of_a_frame_is_seen_though_the_rest_cannot_be_read(place: int) -> None:
    fields = [b"\xa1t\xa1x", b"\xa2id\xcd\x01\x00"]
    body = b"\x84" + b"".join(fields if place else fields[::-1]) + b"\xc1"
    assert frames.number_of(body) == 256


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x07", b"\x80", b"\x81\xa2id", b"\x81\xa2id\xa1x", b"\x81\xa2id\xc3"],
)
def test_a_frame_without_a_number_has_none(body: bytes) -> None:
    assert frames.number_of(body) is None


def test_a_socket_with_a_timeout_does_not_wait_for_ever() -> None:
    here, there = socket.socketpair()
    here.settimeout(0.01)
    framed = FrameSocket(here)
    with pytest.raises(TimeoutError):
        framed.receive_body()
    framed.close()
    there.close()


def test_closing_twice_does_nothing(ends: tuple[FrameSocket, socket.socket]) -> None:
    ends[0].close()
    ends[0].close()
    with pytest.raises(OSError, match=r"."):
        ends[0].send({})
