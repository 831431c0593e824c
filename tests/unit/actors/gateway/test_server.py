from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jobx import frames, questions, values
from jobx.actors.gateway import server
from jobx.actors.gateway.server import Gateway
from jobx.errors import InvalidInput, JobxError, NotFound, from_wire
from jobx.questions import PROTOCOL, GetEntity, Hello, Question
from jobx.views import EntityView, View
from tests.support.waiting import eventually_soon

HELLO = Hello(protocol=PROTOCOL, role="test", version="1")


async def _answer(question: Question[Any]) -> View:
    assert isinstance(question, GetEntity)
    if question.name == "fail":
        raise NotFound("job", "x")
    if question.name == "unspeakable":
        raise NotFound("job", "\ud800")
    if question.name == "fault":
        raise ZeroDivisionError
    return EntityView(entity={"echo": question.name, "long": 20 * question.kind})


async def _ask(path: Path, *asked: Question[Any]) -> list[Any]:
    """Return what a gateway answers to questions, in the order of its answers."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"".join(questions.encode_call(n, one) for n, one in enumerate(asked)))
    decoder, answers = frames.FrameDecoder(), []
    while len(answers) < len(asked):
        chunk = await asyncio.wait_for(reader.read(1 << 16), 60)
        if not chunk:
            break
        answers += map(values.unpack, decoder.bodies(chunk))
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


def _one(tmp_path: Path, name: str, kind: str = "") -> Any:
    asked = GetEntity(kind=kind, workflow="w", name=name)
    return _served(tmp_path, lambda path: _ask(path, HELLO, asked))[1]


def _error(tmp_path: Path, name: str, kind: str = "") -> JobxError:
    return from_wire(_one(tmp_path, name, kind)[2])


def test_an_answer_has_the_number_of_its_question(tmp_path: Path) -> None:
    assert _one(tmp_path, "a", "job") == [1, {"entity": {"echo": "a", "long": 20 * "job"}}]


def test_an_error_comes_as_itself(tmp_path: Path) -> None:
    assert _error(tmp_path, "fail").args == ("job", "x")


def test_a_fault_is_answered_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert _error(tmp_path, "fault").code == "internal"
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_that_is_too_large_for_a_frame_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1000)
    assert _error(tmp_path, "a", "x" * 120).code == "internal"


def test_a_peer_of_another_protocol_is_refused_by_its_number(tmp_path: Path) -> None:
    (answer,) = _served(tmp_path, lambda path: _ask(path, Hello(protocol=99)))
    assert "99" in str(from_wire(answer[2]))


#: Bodies of call 2 that are no question.
UNREADABLE = {
    "no code": b"\x92\x02\x94\xaaentity.get\xc1",
    "no text": b"\x92\x02\x94\xaaentity.get\xa1\xff\xa1w\xa1n",
    "extension": b"\x92\x02\x96\xa6submit\xa1w\xa1r\xa1j\xc4\x00\x81\xa1a\xd4\x63x",
    "timestamp": b"\x92\x02\x94\xaaentity.get\xc7\x0c\xff" + b"\xff" * 12,
    "cut": b"\x92\x02\x94\xaaentity.get",
    "deep": b"\x92\x02\x93\xadentity.create\xa1k" + b"\x91" * (1 << 17) + b"\x01",
    "no question": b"\x91\x02",
    "no verb": b"\x92\x02\x90",
    "unknown verb": b"\x92\x02\x91\xa3new",
    "no fields": b"\x92\x02\x91\xaaentity.get",
    "a map": b"\x92\x02\x81\xaaentity.get\xc0",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_frame_that_cannot_be_read_is_an_error_of_its_call_alone(
    tmp_path: Path, body: bytes
) -> None:
    async def talk(path: Path) -> dict[int, Any]:
        reader, writer = await asyncio.open_unix_connection(str(path))
        one = GetEntity(kind="job", workflow="w", name="n")
        good = [questions.encode_call(n, one) for n in (1, 3)]
        hello = questions.encode_call(0, HELLO)
        writer.write(hello + good[0] + frames.with_head(body) + good[1])
        decoder, answers = frames.FrameDecoder(), {}
        while len(answers) < 4:
            chunk = await asyncio.wait_for(reader.read(1 << 16), 60)
            assert chunk, "the connection was cut"
            answers.update({n: rest for n, *rest in map(values.unpack, decoder.bodies(chunk))})
        writer.close()
        return answers

    answers = _served(tmp_path, talk)
    assert [answers[n][0]["entity"]["echo"] for n in (1, 3)] == ["n", "n"]
    assert isinstance(from_wire(answers[2][1]), InvalidInput)


@pytest.mark.parametrize(
    "sent", [frames.encode({"id": 1}), *map(frames.with_head, (b"\xc1", b"\x91\xc1")), b"\xff" * 8]
)
def test_what_has_no_number_ends_the_connection(tmp_path: Path, sent: bytes) -> None:
    async def talk(path: Path) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(sent)
        rest = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return rest

    assert _served(tmp_path, talk) == b""


def test_an_error_that_cannot_be_sent_is_answered_all_the_same(tmp_path: Path) -> None:
    assert "not-found" in str(_error(tmp_path, "unspeakable"))


def test_nobody_else_may_open_the_socket(tmp_path: Path) -> None:
    async def mode(path: Path) -> int:
        return path.stat().st_mode & 0o777

    assert _served(tmp_path, mode) == 0o600


def test_a_peer_that_reads_no_answers_is_cut_off_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "MAX_UNREAD_BYTES", 1 << 20)

    async def talk(path: Path) -> list[Any]:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1)
        asked = GetEntity(kind="k" * 100, workflow="w", name="n" * 100)
        calls = (questions.encode_call(n, asked) for n in range(2000))
        writer.write(questions.encode_call(0, HELLO) + b"".join(calls))
        await eventually_soon(lambda: "does not read" in caplog.text)
        writer.close()
        reader.feed_eof()
        return await _ask(path, HELLO, GetEntity(kind="", workflow="w", name="a"))

    assert _served(tmp_path, talk)[1] == [1, {"entity": {"echo": "a", "long": ""}}]
    assert "does not read its answers" in caplog.text
