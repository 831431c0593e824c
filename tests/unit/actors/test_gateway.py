from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jobx import frames
from jobx.actors.gateway import PROTOCOL, Gateway
from jobx.errors import NotFound, from_wire

HELLO = {"id": 0, "verb": "hello", "body": {"protocol": PROTOCOL, "role": "test", "version": "1"}}


async def _answer(verb: str, body: dict[str, Any]) -> dict[str, Any]:
    if verb == "fail":
        raise NotFound("job", "x")
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


def test_a_frame_that_is_no_question_ends_the_connection(tmp_path: Path) -> None:
    assert _served(tmp_path, lambda path: _ask(path, {"id": "x"})) == []


def test_nobody_else_may_open_the_socket(tmp_path: Path) -> None:
    async def mode(path: Path) -> int:
        return path.stat().st_mode & 0o777

    assert _served(tmp_path, mode) == 0o600
