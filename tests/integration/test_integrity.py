"""A bit that flips anywhere in a data folder: what is read is right, or the error names it.

``JOBX_FLIPS`` says how many places are tried; each is one file, one offset, one bit.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from jobx import model
from jobx.actors.coordination.work_frames import _items
from jobx.actors.inspection import trace
from jobx.actors.log_reader import read_log
from jobx.actors.messages import RequestKey
from jobx.actors.request.events import Mapped
from jobx.errors import JobxError
from jobx.handlers.authoring.code_cache import CodeCache
from jobx.handlers.authoring.library import Library
from jobx.handlers.execution import inputs
from jobx.handlers.pairs import run_merger, run_reader
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import request_entity
from jobx.kv.sqlite.store import SqliteStore
from jobx.payload import STAGE_DATA
from tests.support.authoring import WORKFLOW, define
from tests.support.live_node import live_node
from tests.support.work import map_work

FLIPS = int(os.environ.get("JOBX_FLIPS", "150"))
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(40):
        yield number, str(number) * 1000
"""
EACH = """
def handler(key, value):
    yield Return()
    for part in range(30):
        yield f"{key}-{part}", value[:200]
"""
KEEP = "def handler(key, values):\n    for value in values:\n        yield key, value\n"
HANDLERS = {"fan": FAN, "each": EACH, "keep": KEEP}
STEPS = {"fan": ("fan", "keep"), "each": ("each", "keep")}
#: Files that hold nothing which anybody asked to keep.
PASSING = {"lock", "running", "gateway.sock"}

#: What was read, by what it is; an error stands for itself.
Read: TypeAlias = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a workflow, two finished requests, and blobs of chunks and of results."""
    folder = tmp_path_factory.mktemp("data")
    define(folder, HANDLERS, STEPS)
    with live_node(folder, executors__inline_bytes=512) as node:
        for _ in range(2):
            node.post("fan", {})
    return folder


def _answer(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except JobxError as error:
        return error


def _read_all(folder: Path, ids: list[str]) -> Read:
    """Read everything that is in a data folder; what the store says as a whole comes first."""
    store = _answer(lambda: _checked(folder))
    if isinstance(store, JobxError):
        return {"store": store}
    try:
        return {name: _answer(read) for name, read in _readings(store, folder, ids)}
    finally:
        store.close()


def _checked(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "jobx.sqlite")
    try:
        store.check()
    except JobxError:
        store.close()
        raise
    return store


def _readings(
    store: SqliteStore, folder: Path, ids: list[str]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    entities = Entities(store)
    for kind, names in ((model.Job, STEPS), (model.Step, STEPS), (model.Handler, HANDLERS)):
        for name in names:
            yield f"{kind.__name__} {name}", lambda k=kind, n=name: entities.get(k, WORKFLOW, n)
    yield "snapshot", lambda: entities.snapshot(WORKFLOW)
    library = Library(store)
    yield "library", library.refresh
    for name in HANDLERS:
        yield f"code {name}", lambda n=name: _code(store, library, n)
    for request_id in ids:
        blobs = folder / "blobs" / WORKFLOW / request_id
        yield f"request {request_id}", lambda i=request_id: request_entity.get(store, WORKFLOW, i)
        yield f"log {request_id}", lambda i=request_id: _log(store, i)
        yield f"trace {request_id}", lambda i=request_id: trace.read(store, WORKFLOW, i, 1000)
        yield f"result {request_id}", lambda i=request_id, b=blobs: _result(store, b, i)
        yield f"inputs {request_id}", lambda i=request_id, b=blobs: _inputs(store, b, i)


def _code(store: SqliteStore, library: Library, name: str) -> Any:
    version = library.versions().get((WORKFLOW, name))
    if version is None:
        library.plan(WORKFLOW)
        raise library.unplanned(WORKFLOW, "each" if name == "each" else "fan")
    return CodeCache(store).code(WORKFLOW, version)


def _log(store: SqliteStore, request_id: str) -> Any:
    found = read_log(store, RequestKey(WORKFLOW, request_id))
    if found.error is not None:
        raise found.error
    return found.events, found.plan


def _result(store: SqliteStore, blobs: Path, request_id: str) -> Any:
    request = request_entity.get(store, WORKFLOW, request_id)
    run_reader.verify(request.result or (), blobs)
    return list(run_merger.pairs(request.result or (), blobs))


def _inputs(store: SqliteStore, blobs: Path, request_id: str) -> Any:
    """Return the children's items, a few at a time, as batches read them."""
    events, _ = _log(store, request_id)
    found = []
    for chunk in [event.payload for event in events if isinstance(event, Mapped)]:
        assert chunk.blob is not None
        for position in range(0, chunk.count, 7):
            count = min(7, chunk.count - position)
            work = map_work(count=count, **_items(chunk, position, count))
            found += inputs.items(work, blobs)
    return found


def _ids(folder: Path) -> list[str]:
    store = SqliteStore(folder / "jobx.sqlite")
    try:
        return [entry.key.rpartition("/")[2] for entry in store.range("entities/request/")]
    finally:
        store.close()


def _files(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    # Dumps alone read the data of stages, and their own tests damage it.
    read = [path for path in found if not path.name.endswith(STAGE_DATA)]
    return [path for path in read if path.name not in PASSING and path.stat().st_size]


def _places(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """Yield files with an offset and a bit: every file in turn, at a place drawn from a seed."""
    rng = random.Random(20)
    files = _files(folder)
    for number in range(FLIPS):
        # The store is as large as all that is in it: every second place is there.
        path = folder / "jobx.sqlite" if number % 2 else files[number // 2 % len(files)]
        yield path, rng.randrange(path.stat().st_size), rng.randrange(8)


def test_a_folder_has_blobs_of_chunks_and_of_results(folder: Path) -> None:
    ids = _ids(folder)
    assert len(ids) == 2
    found = _read_all(folder, ids)
    assert [name for name, answer in found.items() if isinstance(answer, JobxError)] == []
    assert all(len(found[f"inputs {one}"]) == 40 for one in ids)
    assert all(len(found[f"result {one}"]) == 1200 for one in ids)
    assert len(_files(folder)) >= 6


def test_no_flipped_bit_is_served(folder: Path, tmp_path: Path) -> None:
    ids = _ids(folder)
    right = _read_all(folder, ids)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*PASSING))
    wrong, found = [], 0
    for path, offset, bit in _places(folder):
        spoiled = copy / path.relative_to(folder)
        body = bytearray(path.read_bytes())
        body[offset] ^= 1 << bit
        spoiled.write_bytes(body)
        read = _read_all(copy, ids)
        errors = [name for name, answer in read.items() if isinstance(answer, JobxError)]
        found += bool(errors)
        place = f"{path.relative_to(folder)} at {offset}.{bit}"
        wrong += [
            f"{name} after {place}"
            for name, answer in read.items()
            if name not in errors and answer != right[name]
        ]
        for leftover in copy.glob("jobx.sqlite-*"):
            leftover.unlink()
        spoiled.write_bytes(path.read_bytes())
    assert wrong == []
    # The others are in room that the store does not use, or in what nobody reads again.
    assert found > FLIPS // 2
