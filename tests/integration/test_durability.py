"""What a disk does to a node: it fills up, cannot be written, loses files; and what survives."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.actors import upkeep
from jobx.errors import StoreFull
from jobx.kv.blobs import BlobFolder
from jobx.kv.sqlite.store import SqliteStore
from tests.support.authoring import WORKFLOW, define
from tests.support.disks import small_disk
from tests.support.live_node import LiveNode, live_node, pairs_of
from tests.support.processes import running
from tests.support.served import Served, served
from tests.support.waiting import eventually

DISK_BYTES = 12 << 20
#: Waits for a file beside the data folder, then returns so many bytes.
GATE = """
import os, time
def handler(key, value):
    size, gate = value
    yield Return()
    while not os.path.exists(gate.rstrip('/')):
        time.sleep(0.01)
    yield key, "x" * size
"""
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(3):
        yield number, [arguments["size"], arguments["gate"]]
"""
MID = "def handler(key, value):\n    yield Map('each')\n    yield key, value\n"
LENGTHS = "def handler(key, values):\n    yield key, [len(value) for value in values]\n"
KEEP = "def handler(key, values):\n    yield from ((key, value) for value in values)\n"
TINY = "def handler(arguments):\n    yield Return()\n    yield 'answer', 42\n"
LARGE = "def handler(arguments):\n    yield Return()\n    yield 'large', 'x' * 200_000\n"
HANDLERS = {
    "fan": FAN,
    "each": GATE,
    "lengths": LENGTHS,
    "keep": KEEP,
    "tiny": TINY,
    "large": LARGE,
}
STEPS = {
    "fan": ("fan", "lengths"),
    "each": ("each", "keep"),
    "tiny": ("tiny", "sum"),
    "large": ("large", "keep"),
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    with small_disk(tmp_path / "disk", DISK_BYTES) as folder:
        yield folder


def fill(folder: Path) -> Path:
    """Take all the room there is; return the file to remove."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), open(ballast, "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass
    return ballast


@pytest.mark.parametrize("size", [10, 200_000], ids=["inline", "blob"])
def test_full_disk_refuses_new_requests_and_loses_no_accepted_one(
    size: int, disk: Path, tmp_path: Path
) -> None:
    define(disk, HANDLERS, STEPS)
    gate = tmp_path / "gate"
    with served(disk) as serving:
        arguments = {"gate": str(gate), "size": size}
        accepted = serving.post("fan", arguments, Prefer="respond-async")
        assert accepted.status == 202
        eventually(lambda: _counts(serving, accepted.request_id)["mapped"] == 4)

        ballast = fill(disk)
        refused = eventually(lambda: _refused(serving), timeout_s=60)
        assert (refused["code"], refused["title"]) == ("store-full", "The store is full")
        gate.touch()
        if size > DISK_BYTES // 100:
            eventually(lambda: _counts(serving, accepted.request_id)["retried"])

        ballast.unlink()
        answer = serving.get(accepted.request_id, "/result", Prefer="wait=60")
        assert answer.pairs == [[number, [size]] for number in range(3)]
        assert eventually(lambda: serving.post("tiny", {}).status == 200, timeout_s=60)


def _refused(serving: Served) -> Any:
    answer = serving.post("tiny", {})
    return answer.body if answer.status == 507 else None


def _counts(serving: Served, request_id: str) -> Any:
    return serving.get(request_id).body["counts"]


def test_node_takes_requests_again_when_it_had_nothing_to_write_meanwhile(disk: Path) -> None:
    define(disk, HANDLERS, STEPS)
    with live_node(disk) as node:
        ballast = fill(disk)
        eventually(lambda: _is_full(node), timeout_s=60)

        ballast.unlink()

        assert eventually(lambda: not _is_full(node), timeout_s=60)
        assert pairs_of(node.post("tiny", {})) == [("answer", 42)]


def _is_full(node: LiveNode) -> bool:
    try:
        node.post("tiny", {})
    except StoreFull:
        return True
    return False


def test_read_only_data_folder_refuses_to_start_by_name(disk: Path) -> None:
    define(disk, HANDLERS, STEPS)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    with running(["-m", "jobx.tools.cli", "node", "--data", str(disk)]) as process:
        stderr = process.communicate(timeout=60)[1]

    assert process.returncode == 7
    assert stderr.startswith(f"jobx: cannot use {disk}")
    assert stderr.count("\n") == 1


def test_second_node_on_a_data_folder_is_refused_by_name(tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    command = ["-m", "jobx.tools.cli", "node", "--data", str(tmp_path)]
    with live_node(tmp_path), running(command) as process:
        stderr = process.communicate(timeout=60)[1]

    assert process.returncode == 4
    assert stderr == f"jobx: data folder {tmp_path} is used by process {os.getpid()} (node)\n"


@pytest.mark.parametrize("lose", ["unlink", "truncate", "overwrite"])
def test_intermediate_blobs_lost_in_a_crash_are_made_again(lose: str, tmp_path: Path) -> None:
    data_dir, gate = tmp_path / "d", tmp_path / "gate"
    # What is mapped needs blobs too; two branches end before the crash, one does not.
    fan = FAN.replace('Map("each")', 'Map("mid")').replace('gate"]', 'gate"] + "/" * 100_000')
    one = GATE.replace("while not", "while key == 2 and not")
    handlers = {**HANDLERS, "fan": fan, "mid": MID, "each": one}
    define(data_dir, handlers, {**STEPS, "mid": ("mid", "keep")})
    with served(data_dir) as serving:
        arguments = {"gate": str(gate), "size": 200_000}
        request_id = serving.post("fan", arguments, Prefer="respond-async").request_id
        eventually(lambda: _counts(serving, request_id)["finished"] == 4)
        serving.kill_all()
        blobs = _blobs(data_dir, request_id)
        assert len(blobs) >= 3 + 3 + 2 + 2
        for blob in blobs:
            _lose(blob, lose)
        gate.touch()
        serving.start()
        answer = serving.get(request_id, "/result", Prefer="wait=60")
        assert answer.pairs == [[number, [200_000]] for number in range(3)]


def _blobs(data_dir: Path, request_id: str) -> list[Path]:
    folder = BlobFolder(data_dir / "blobs").path(WORKFLOW, request_id)
    # What stages of failed invocations had is removed by and by.
    return [path for path in folder.glob("*") if not path.name.endswith((".part", "-stages"))]


def _lose(blob: Path, how: str) -> None:
    if how == "unlink":
        blob.unlink()
    elif how == "truncate":
        os.truncate(blob, 1000)
    else:
        blob.write_bytes(b"\0" * blob.stat().st_size)


@pytest.mark.parametrize("lose", ["unlink", "truncate", "overwrite"])
def test_damaged_result_is_reported_by_name(lose: str, tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with served(tmp_path) as serving:
        answer = serving.post("large", {})
        assert answer.pairs == [["large", "x" * 200_000]]
        (blob,) = _blobs(tmp_path, answer.request_id)
        _lose(blob, lose)

        answer = serving.get(answer.request_id, "/result")

    assert (answer.status, answer.body["code"]) == (500, "blob-damaged")
    assert blob.name in answer.body["detail"]


def test_expired_request_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "SWEEP_S", 0.1)
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path, requests__retention_s=0.5) as node:
        request_id = node.post("large", {}, idempotency_key="k").request.request_id
        eventually(lambda: _leavings(tmp_path, request_id) == [])


def _leavings(data_dir: Path, request_id: str) -> list[str]:
    """Return what blobs and entries of a request there are."""
    with contextlib.closing(SqliteStore(data_dir / "jobx.sqlite")) as store:
        left = [entry.key for entry in store.range("") if request_id in entry.key]
        left += [entry.key for entry in store.range("idempotency/")]
    return left + list(BlobFolder(data_dir / "blobs").requests())


def test_code_of_an_open_request_outlives_its_handler_and_a_restart(tmp_path: Path) -> None:
    data_dir, gate = tmp_path / "d", tmp_path / "gate"
    define(data_dir, HANDLERS, STEPS)
    with served(data_dir) as serving:
        arguments = {"gate": str(gate), "size": 5}
        request_id = serving.post("fan", arguments, Prefer="respond-async").request_id
        eventually(lambda: _counts(serving, request_id)["mapped"] == 4)
        path = f"/workflow/{WORKFLOW}/handler/each"
        changed = _fields(GATE.replace("* size", "* 7"))
        assert serving.ask("PUT", path, changed, 60.0, {}).status == 200
        serving.kill_all()
        gate.touch()
        serving.start()

        assert serving.get(request_id, "/result", Prefer="wait=60").pairs == [
            [number, [5]] for number in range(3)
        ]
        assert serving.post("fan", arguments).pairs == [[number, [7]] for number in range(3)]


def _fields(source: str) -> dict[str, Any]:
    return {"description": "", "handler_type": "mapper", "source_code": source}
