"""The reader process: it answers, is replaced when it dies or hangs, and ends with its node."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

from jobx import questions
from jobx.actors import answering
from jobx.actors.coordination import coordinator
from jobx.actors.inspection.folding import view_file
from jobx.actors.readers import process
from jobx.actors.readers.process import Bounds, ProcessReader
from jobx.config import Settings
from jobx.config_sections import NodeSettings
from jobx.errors import NotFound, StoreRefused, Unavailable
from jobx.kv.blobs import BlobFolder
from jobx.kv.folder_lock import FolderLock
from jobx.kv.opening import open_store
from jobx.kv.sqlite.read_only import ReadOnlySqlite
from jobx.kv.store import Put
from jobx.system.processes import is_stopped
from tests.support.authoring import ANSWER, WORKFLOW, define
from tests.support.live_node import Start, live_node
from tests.support.processes import alive, descendants, words
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
ABSENT: Any = {"workflow": "w", "request_id": "absent"}
QUICK, HANGS = questions.GetSummary(**ABSENT), questions.GetTimeline(**ABSENT)
GREEDY = questions.GetTrace(**ABSENT)
OFTEN = Bounds(look_s=0.05)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(node=NodeSettings(data_dir=str(tmp_path)))
    open_store(found).close()
    return found


def run(
    settings: Settings, ask: Callable[[ProcessReader], Awaitable[None]], bounds: Bounds = OFTEN
) -> None:
    """Let a test ask a reader that has odd answers, too."""

    async def body() -> None:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        reader = ProcessReader(settings, environ, bounds, "tests.support.odd_reader")
        try:
            await asyncio.wait_for(ask(reader), 60)
        finally:
            await reader.close()
        assert reader.pid is None

    asyncio.run(body())


async def answers(reader: ProcessReader) -> int:
    """Have the reader answer, once it is there, and return its process."""
    while True:
        try:
            await reader.ask(QUICK)
        except Unavailable:
            continue
        except NotFound:
            if reader.pid is not None:
                return reader.pid


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_reader_that_is_killed_is_replaced_and_its_callers_may_ask_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(reader: ProcessReader) -> None:
        first = await answers(reader)
        assert os.getpriority(os.PRIO_PROCESS, first) == 19
        asked = asyncio.ensure_future(reader.ask(HANGS))
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(Unavailable, match="was killed by SIGKILL"):
            await asked
        assert "was killed by SIGKILL" in caplog.text
        assert await answers(reader) != first

    run(settings, ask)


def test_reader_that_is_at_work_when_its_node_stops_is_no_news(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(reader: ProcessReader) -> None:
        await answers(reader)
        asked = asyncio.ensure_future(reader.ask(HANGS))
        await asyncio.sleep(0)
        await reader.close()
        with pytest.raises((Unavailable, NotFound)):
            await asked

    run(settings, ask)
    assert [one for one in caplog.records if one.name.startswith("jobx.actors.readers")] == []


def test_reader_that_is_stopped_is_replaced(settings: Settings) -> None:
    async def ask(reader: ProcessReader) -> None:
        first = await answers(reader)
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(Unavailable):
            await reader.ask(QUICK)
        assert await answers(reader) != first

    run(settings, ask)


def test_reader_that_takes_too_long_is_replaced(settings: Settings) -> None:
    async def ask(reader: ProcessReader) -> None:
        with pytest.raises(Unavailable):
            await reader.ask(HANGS)
        await answers(reader)

    run(settings, ask, Bounds(look_s=0.05, question_s=5.0))


def test_reader_without_memory_says_so_and_is_replaced(settings: Settings) -> None:
    async def ask(reader: ProcessReader) -> None:
        with pytest.raises(Unavailable, match="had no memory"):
            await reader.ask(GREEDY)
        await answers(reader)

    run(settings, ask)


def test_reader_that_nobody_asks_ends(settings: Settings) -> None:
    async def ask(reader: ProcessReader) -> None:
        first = await answers(reader)
        await until(lambda: reader.pid is None)
        await until(lambda: not alive(first))

    run(settings, ask, Bounds(look_s=0.05, idle_s=0.1))


def test_reader_that_is_being_started_is_ended_with_the_others(settings: Settings) -> None:
    async def ask(reader: ProcessReader) -> None:
        asked = asyncio.create_task(reader.ask(HANGS))
        await asyncio.sleep(0)  # it waits for its connection now
        await reader.close()
        with pytest.raises(Unavailable):
            await asked

    run(settings, ask, Bounds(question_s=600.0))


def test_the_data_folder_is_free_once_no_reader_reads_in_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers, reads, release = list[int](), list[bool](), FolderLock.release

    def note(lock: FolderLock) -> None:
        reads.extend(map(alive, readers))
        release(lock)

    monkeypatch.setattr(FolderLock, "release", note)
    define(tmp_path, {"answer": ANSWER}, {"answer": ("answer", "sum")})
    with live_node(tmp_path) as node:
        with pytest.raises(NotFound):
            node.ask("request.trace", **ABSENT)
        readers += (pid for pid in descendants(os.getpid()) if process.MODULE in words(pid))
        os.kill(readers[0], signal.SIGSTOP)  # it is in the middle of its work
    assert reads == [False]


@pytest.mark.parametrize("is_stopped_first", [False, True])
def test_reader_ends_with_a_node_that_is_killed(
    settings: Settings, *, is_stopped_first: bool
) -> None:
    body = "import asyncio, os, sys; from pathlib import Path; from tests.integration import"
    body += " test_readers; asyncio.run(test_readers.keep_a_reader(sys.argv[1]))"
    command = [sys.executable, "-c", body, settings.node.data_dir]
    with Popen(command, stdout=PIPE, text=True, cwd=ROOT) as node:
        assert node.stdout is not None
        reader = int(node.stdout.readline())
        if is_stopped_first:
            os.kill(reader, signal.SIGSTOP)
            eventually(lambda: is_stopped(reader))
        node.kill()
    eventually(lambda: not alive(reader))


async def keep_a_reader(data_dir: str) -> None:
    """Start a reader, say which it is, and wait to be killed."""
    reader = ProcessReader(Settings(node=NodeSettings(data_dir=data_dir)), os.environ)
    sys.stdout.write(f"{await answers(reader)}\n")
    sys.stdout.flush()
    await asyncio.sleep(3600)


def test_what_a_reader_opens_is_not_written(settings: Settings) -> None:
    with closing(open_store(settings)) as store:
        store.commit([Put("/a", b"1")])
        with closing(ReadOnlySqlite(settings.store_path)) as reading:
            entry = reading.get("/a")
            assert entry is not None
            assert entry.value == b"1"
            with pytest.raises(StoreRefused, match="reading only"):
                reading.commit([Put("/a", b"2")])
    assert process.MODULE == "jobx.actors.readers.main"


def test_views_of_a_long_request_are_made_at_its_end_before_anybody_asks(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def eager(settings: Settings, environ: Any) -> ProcessReader:
        folders.append(BlobFolder(settings.blob_path))
        found = {**environ, "PYTHONPATH": str(ROOT)}
        return ProcessReader(settings, found, module="tests.support.eager_reader")

    folders: list[BlobFolder] = []
    monkeypatch.setattr(answering, "ProcessReader", eager)
    monkeypatch.setattr(coordinator, "LONG", 0)
    node = start({"answer": ANSWER}, {"answer": ("answer", "sum")})

    request_id = node.post("answer", {}).request.request_id

    eventually((folders[0].path(WORKFLOW, request_id) / view_file.NAME).exists)
