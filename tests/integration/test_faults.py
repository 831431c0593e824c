"""The shim that makes calls of processes fail: what tests of failures stand on."""

from __future__ import annotations

import dataclasses
import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.authoring import ANSWER, define
from tests.support.fault.rules import (
    CALLS,
    Fault,
    Faults,
    dead_disk,
    full_disk,
    slow_sync,
)
from tests.support.processes import running, words
from tests.support.served import served
from tests.support.waiting import eventually

#: Makes each call once and prints its name with the errno that it got, or 0.
PROBE = """
import os, sys
folder = sys.argv[1]
path, other = folder + "/file", folder + "/other"
def room(): assert os.statvfs(folder).f_bavail == 0
def opened(call):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try: return call(fd)
    finally: os.close(fd)
PROBES = {
    "open": lambda: os.open(path, os.O_RDWR),
    "read": lambda: opened(lambda fd: (os.pread(fd, 1, 0), os.read(fd, 1))),
    "write": lambda: opened(lambda fd: os.write(fd, b"x")),
    "sync": lambda: opened(os.fsync),
    "rename": lambda: os.rename(path, other),
    "unlink": lambda: os.unlink(other),
    "mkdir": lambda: os.mkdir(folder + "/below"),
    "truncate": lambda: opened(lambda fd: os.ftruncate(fd, 0)),
    "room": lambda: os.statvfs(folder),
}
for name in sys.argv[2:]:
    try: PROBES[name]()
    except OSError as error: print(name, error.errno)
    else: print(name, 0)
"""
STORE = """
import sys
from pathlib import Path
from jobx.errors import JobxError
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Put
store = SqliteStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    try:
        store.commit([Put(f"k{number}", b"v" * 100)])
    except JobxError as error:
        print(type(error).__name__)
    else:
        print("stored")
"""


def probed(faults: Faults, folder: Path, *calls: str) -> dict[str, int]:
    folder.mkdir(exist_ok=True)
    (folder / "file").write_bytes(b"text")
    (folder / "other").write_bytes(b"text")
    lines = printed(faults, PROBE, str(folder), *calls)
    return {name: int(code) for name, code in map(str.split, lines)}


def printed(faults: Faults, program: str, *arguments: str) -> list[str]:
    with running(["-c", program, *arguments], **faults.environ) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()


def test_without_rules_nothing_fails(faults: Faults, tmp_path: Path) -> None:
    assert probed(faults, tmp_path / "d", *CALLS) == dict.fromkeys(CALLS, 0)


@pytest.mark.parametrize("call", sorted({*CALLS} - {"open", "read"}))
def test_a_call_ends_with_the_error_of_its_rule_and_no_other_does(
    faults: Faults, tmp_path: Path, call: str
) -> None:
    faults.set(Fault(calls=(call,), path=f"{tmp_path}/d*", error=errno.EDQUOT))  # type: ignore[arg-type]  # a name of Call
    expected = {name: errno.EDQUOT if name == call else 0 for name in (call, "open", "read")}
    assert probed(faults, tmp_path / "d", call, "open", "read") == expected


@pytest.mark.parametrize("call", CALLS)
def test_another_path_is_left_alone(faults: Faults, tmp_path: Path, call: str) -> None:
    faults.set(Fault(calls=CALLS, path=f"{tmp_path}/elsewhere/*", error=errno.EIO))
    assert probed(faults, tmp_path / "d", call) == {call: 0}


def test_another_program_is_left_alone(faults: Faults, tmp_path: Path) -> None:
    faults.set(
        Fault(calls=("open",), path=f"{tmp_path}/d*", program="*no-such-program*", error=errno.EIO)
    )
    assert probed(faults, tmp_path / "d", "open") == {"open": 0}


def test_calls_are_skipped_and_counted(faults: Faults, tmp_path: Path) -> None:
    faults.set(Fault(calls=("mkdir",), path=f"{tmp_path}/*", error=errno.EIO, skip=1, count=2))
    program = """
import os, sys
for number in range(5):
    try: os.mkdir(f"{sys.argv[1]}/{number}")
    except OSError: print("failed")
    else: print("made")
"""
    found = printed(faults, program, str(tmp_path))
    assert (found, faults.hits()) == (["made", "failed", "failed", "made", "made"], 2)


def test_chance_meets_some_calls(faults: Faults, tmp_path: Path) -> None:
    faults.set(Fault(calls=("room",), path=f"{tmp_path}*", error=errno.EIO, probability=0.5))
    program = """
import os, sys
for _ in range(1000):
    try: os.statvfs(sys.argv[1])
    except OSError: print("failed")
"""
    assert 300 < len(printed(faults, program, str(tmp_path))) < 700


def test_a_write_is_short(faults: Faults, tmp_path: Path) -> None:
    faults.set(Fault(calls=("write",), path=f"{tmp_path}/d", at_most_bytes=3))
    program = "import os, sys; print(os.write(os.open(sys.argv[1], 0o101), b'12345'))"
    assert printed(faults, program, f"{tmp_path}/d") == ["3"]


def test_a_full_disk_says_that_it_has_no_room(faults: Faults, tmp_path: Path) -> None:
    faults.set(full_disk(tmp_path))
    program = "import os, sys; print(os.statvfs(sys.argv[1]).f_bavail)"
    assert printed(faults, program, str(tmp_path)) == ["0"]


def test_a_call_that_waits_goes_on_when_the_rules_change(faults: Faults, tmp_path: Path) -> None:
    faults.set(slow_sync(tmp_path, 3600.0))
    program = "import os, sys; os.fsync(os.open(sys.argv[1], 0o101)); print('synced')"
    with running(["-c", program, f"{tmp_path}/d"], **faults.environ) as process:
        eventually(faults.hits)
        assert process.poll() is None
        faults.clear()
        assert process.communicate(timeout=60)[0] == "synced\n"


def test_the_wall_clock_jumps_and_no_other(faults: Faults) -> None:
    program = """
import sys, time
print(time.time(), time.monotonic(), flush=True)
sys.stdin.readline()
print(time.time(), time.monotonic())
"""
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env=faults.environ
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        wall, steady = map(float, process.stdout.readline().split())
        faults.jump(-86_400)
        process.stdin.write("\n")
        process.stdin.flush()
        later_wall, later_steady = map(float, process.stdout.readline().split())
    assert abs((later_wall - wall) - (later_steady - steady) + 86_400) < 60
    assert abs(wall - time.time()) < 3600


READ = """
import sys
from pathlib import Path
from jobx.errors import JobxError
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Put
store = SqliteStore(Path(sys.argv[1]))
store.commit_many([[[Put(f"k{n}", bytes(3000))]] for n in range(100)])
print("written", flush=True)
sys.stdin.readline()
for ask in (lambda: store.get("k7"), lambda: store.range("k")):
    try: ask()
    except JobxError as error: print(error)
    else: print("read")
"""


@pytest.mark.parametrize(("times", "is_read"), [(1, True), (None, False)])
def test_a_read_that_fails_once_is_no_damage_of_the_store(
    faults: Faults, tmp_path: Path, times: int | None, is_read: bool
) -> None:
    path = tmp_path / "store" / "jobx.sqlite"
    command = [sys.executable, "-c", READ, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env=faults.environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        faults.set(Fault(calls=("read",), path=f"{path}-wal", error=errno.EIO, count=times))
        lines = process.communicate("\n", timeout=60)[0].splitlines()
    assert faults.hits() > 0
    assert [line == "read" for line in lines] == [is_read] * 2


@pytest.mark.parametrize(
    "sick",
    [Fault(calls=("write",), error=errno.ENOSPC), Fault(calls=("sync",), error=errno.EIO)],
    ids=["full", "sync"],
)
def test_the_calls_of_sqlite_are_met(faults: Faults, tmp_path: Path, sick: Fault) -> None:
    path = str(tmp_path / "store" / "jobx.sqlite")
    printed(faults, STORE, path, "1")
    faults.set(dataclasses.replace(sick, path=f"{path}-wal"))
    lines = printed(faults, STORE, path, "3")
    assert faults.hits() > 0
    assert len(lines) == 3 and "stored" not in lines


def test_every_process_of_serve_is_met(faults: Faults, tmp_path: Path) -> None:
    define(tmp_path / "data", {"answer": ANSWER}, {"answer": ("answer", "sum")})
    with served(tmp_path / "data", **faults.environ) as serving:
        assert serving.post("answer", {}).pairs == [["answer", 42]]
        processes = [serving.node(), serving.fork_server(), *serving.executors()]
        for pid in (*processes, *serving.web_workers()):
            assert "fault_shim.so" in Path(f"/proc/{pid}/maps").read_text(), words(pid)


def test_a_node_falls_ill_and_recovers(faults: Faults, tmp_path: Path) -> None:
    define(tmp_path / "data", {"answer": ANSWER}, {"answer": ("answer", "sum")})
    with served(tmp_path / "data", **faults.environ) as serving:
        faults.set(full_disk(tmp_path / "data"))
        assert serving.post("answer", {}).status == 507
        faults.clear()
        assert eventually(lambda: serving.post("answer", {}).status == 200)


def test_large_arguments_that_cannot_be_synced_are_refused_and_later_ones_are_not(
    faults: Faults, tmp_path: Path
) -> None:
    long = "def handler(text):\n    yield Return()\n    yield 'length', len(text)\n"
    define(tmp_path / "data", {"long": long}, {"long": ("long", "sum")})
    text = {"text": "x" * 300_000}
    with served(tmp_path / "data", **faults.environ) as serving:
        faults.set(
            Fault(calls=("sync",), path=f"{tmp_path}/data/blobs/*/arguments", error=errno.EIO)
        )
        assert serving.post("long", text).body["code"] == "store-refused"
        assert faults.hits() > 0
        faults.clear()
        assert serving.post("long", text).pairs == [["length", 300_000]]


def test_a_dead_disk_is_met_in_reading_and_writing(faults: Faults, tmp_path: Path) -> None:
    faults.set(dead_disk(tmp_path / "d"))
    found = probed(faults, tmp_path / "d", "open", "rename", "mkdir")
    assert found == dict.fromkeys(("open", "rename", "mkdir"), errno.EIO)


def test_blobs_are_whole_where_the_disk_takes_a_part_at_once(
    faults: Faults, tmp_path: Path
) -> None:
    big = "def handler(arguments):\n    yield Return()\n    yield 'text', 'x' * 1_000_000\n"
    first = "def handler(key, values):\n    yield key, values[0]\n"
    define(tmp_path / "data", {"big": big, "first": first}, {"big": ("big", "first")})
    with served(tmp_path / "data", **faults.environ) as serving:
        faults.set(Fault(calls=("write",), path=f"{tmp_path}/data/blobs/*", at_most_bytes=1000))
        assert serving.post("big", {}).pairs == [["text", "x" * 1_000_000]]
        assert faults.hits() > 1000
