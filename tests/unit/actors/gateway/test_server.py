from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jobx import frames
from jobx.actors.gateway.server import PROTOCOL, Gateway
from jobx.errors import InvalidInput, NotFound, from_wire

HELLO = {"id": 0, "verb": "hello", "body": {"protocol": PROTOCOL, "role": "test", "version": "1"}}


async def _answer(verb: str, body: dict[str, Any]) -> dict[str, Any]:
    if verb == "fail":
        raise NotFound("job", "x")
    if verb == "unspeakable":
        raise NotFound("job", "\ud800")
    if verb == "fault":
        raise ZeroDivisionError
    return {"echo": body, "long": b"x" * body.get("size_bytes", 0)}


async def _ask(path: Path, *asked: frames.Frame) -> list[frames.Frame]:
    """Return what a gateway answers to frames, in the order of its answers."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"".join(map(frames.encode, asked)))
    decoder, answers = frames.FrameDecoder(), []
    while len(answers) < len(asked):
        chunk = await asyncio.wait_for(reader.read(1 << 16), 10)
        if not chunk:
            break
        answers += decoder.feed(chunk)
    writer.close()
    await writer.wait_closed()
    return answers


def _served(tmp_path: Path, talk: Callable[[Path], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        gateway = Gateway(tmp_path / "g", "n", _answer)
        await gateway.start()
        try:
            return await talk(tmp_path / "g")
        finally:
            await gateway.stop()

    return asyncio.run(run())


def _one(tmp_path: Path, verb: str, **body: Any) -> frames.Frame:
    asked = {"id": 1, "verb": verb, "body": body}
    return _served(tmp_path, lambda path: _ask(path, HELLO, asked))[1]


def test_an_answer_has_the_number_of_its_question(tmp_path: Path) -> None:
    assert _one(tmp_path, "echo", a=1) == {"id": 1, "ok": {"echo": {"a": 1}, "long": b""}}


def test_an_error_comes_as_itself(tmp_path: Path) -> None:
    assert from_wire(_one(tmp_path, "fail")["error"]).args == ("job", "x")


def test_a_fault_is_answered_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert _one(tmp_path, "fault")["error"]["code"] == "internal"
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_that_is_too_large_for_a_frame_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1000)
    assert _one(tmp_path, "echo", size_bytes=2000)["error"]["code"] == "internal"


def test_a_peer_of_another_protocol_is_refused_by_its_number(tmp_path: Path) -> None:
    hello = {**HELLO, "body": {"protocol": 99}}
    (answer,) = _served(tmp_path, lambda path: _ask(path, hello))
    assert "99" in str(from_wire(answer["error"]))


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


#: Bodies of call 2 that are no question.
UNREADABLE = {
    "no code": b"\x83\xa2id\x02\xa4verb\xc1",
    "no text": b"\x83\xa2id\x02\xa4verb\xa4echo\xa4body\x81\xa1a\xa1\xff",
    "extension": b"\x83\xa2id\x02\xa4verb\xa4echo\xa4body\x81\xa1a\xd4\x63x",
    "timestamp": b"\x82\xa2id\x02\xa4body\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12,
    "cut": b"\x83\xa2id\x02\xa4verb",
    "deep": b"\x82\xa2id\x02\xa4body" + b"\x91" * 3000 + b"\x01",
    "no verb": b"\x81\xa2id\x02",
    "no body": b"\x83\xa2id\x02\xa4verb\xa4echo\xa4body\x07",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_frame_that_cannot_be_read_is_an_error_of_its_call_alone(
    tmp_path: Path, body: bytes
) -> None:
    async def talk(path: Path) -> dict[int, Any]:
        reader, writer = await asyncio.open_unix_connection(str(path))
        good = [frames.encode({"id": n, "verb": "echo", "body": {"n": n}}) for n in (1, 3)]
        writer.write(frames.encode(HELLO) + good[0] + _framed(body) + good[1])
        decoder, answers = frames.FrameDecoder(), {}
        while len(answers) < 4:
            chunk = await asyncio.wait_for(reader.read(1 << 16), 10)
            assert chunk, "the connection was cut"
            answers.update({answer["id"]: answer for answer in decoder.feed(chunk)})
        writer.close()
        return answers

    answers = _served(tmp_path, talk)
    assert [answers[n]["ok"]["echo"] for n in (1, 3)] == [{"n": 1}, {"n": 3}]
    assert isinstance(from_wire(answers[2]["error"]), InvalidInput)


@pytest.mark.parametrize(
    "sent", [frames.encode({"id": "x"}), _framed(b"\xc1"), _framed(b"\x81\xc1"), b"\xff" * 8]
)
def test_what_has_no_number_ends_the_connection(tmp_path: Path, sent: bytes) -> None:
    async def talk(path: Path) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(sent)
        rest = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return rest

    assert _served(tmp_path, talk) == b""


def test_an_error_that_cannot_be_sent_is_answered_all_the_same(tmp_path: Path) -> None:
    told = from_wire(_one(tmp_path, "unspeakable")["error"])
    assert "not-found" in str(told)


def test_nobody_else_may_open_the_socket(tmp_path: Path) -> None:
    async def mode(path: Path) -> int:
        return path.stat().st_mode & 0o777

    assert _served(tmp_path, mode) == 0o600
