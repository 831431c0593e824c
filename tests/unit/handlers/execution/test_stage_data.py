from __future__ import annotations

import random
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from jobx import values
from jobx.handlers.execution.stage_data import KeptStages, _compressed
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.handlers.scope.invocation import Invocation
from jobx.model import Failure
from jobx.payload import STAGE_DATA, StageData
from jobx.segments import FailedRun, Returned
from jobx.work import QUICK_NS, MapWork
from tests.support import frames

SLOW = (
    "import time\nyield Return()\ntime.sleep(0.001)\n"
    "for k, v in arguments:\n yield 'a', v\n yield 'a', 1"
)
QUICK = SLOW.replace("time.sleep(0.001)", "pass")
LOADS = {
    "c": frames.load("c", "combiner", "def handler(key, values): yield key, sum(values) * 10"),
    "r": frames.load("r", "reducer", "def handler(key, values): yield key, sum(values) + 1"),
}
#: More than all records of these tests take.
ROOM = 1 << 16


def state_of(folder: Path, mapper: str, **loads: Any) -> ExecutorState:
    return frames.state(folder, frames.load("m", "mapper", mapper), *(LOADS | loads).values())


def run(state: ExecutorState, folder: Path, *items: Any, **fields: Any) -> list[Any]:
    wanted = {"combiner": "c", "data_bytes": ROOM, **fields}
    return frames.run(state, frames.map_(folder, items, **wanted))


def records(data: StageData | None, folder: Path) -> list[Any]:
    assert data is not None
    body = (folder / data.blob).read_bytes()
    assert (len(body), zlib.crc32(body)) == (data.size_bytes, data.checksum)
    reader = values.unpacker()
    reader.feed(zlib.decompress(body))
    found = [(vertex, stage, pairs) for vertex, stage, _, pairs in reader]
    return [(vertex, stage, _items(pairs)) for vertex, stage, pairs in found]


def _items(body: bytes) -> Any:
    items = values.unpack(body) if body else "same"
    return list(map(list, items.items())) if isinstance(items, dict) else items


def blobs(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(STAGE_DATA)]


def test_what_each_stage_of_each_mapper_yields_is_kept(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW)
    run(state, tmp_path, [0, 5], [1, 7])
    assert records(state.data, tmp_path) == [
        (1, "mapper", [["a", [5, 1]]]),
        (1, "combiner", [["a", [60]]]),
        (1, "reducer", [["a", [61]]]),
        (2, "mapper", [["a", [7, 1]]]),
        (2, "combiner", [["a", [80]]]),
        (2, "reducer", [["a", [81]]]),
    ]


@pytest.mark.parametrize(
    ("mapper", "fields"),
    [(SLOW, {"data_bytes": 0}), (QUICK, {})],
    ids=["unasked", "quick"],
)
def test_nothing_is_kept_unasked_or_of_quick_batches(
    tmp_path: Path, mapper: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobx.handlers.execution.stage_data.QUICK_NS", 60_000_000_000)
    state = state_of(tmp_path, mapper)
    run(state, tmp_path, [0, 5], [1, 7], **fields)
    assert state.data is None
    assert blobs(tmp_path) == []


class Noted:
    """Stands for an invocation."""

    vertex = 11
    attempt = 2


def batch_of(folder: Path) -> KeptStages:
    """Return a batch in which vertex 11 was slow, after ten quick ones."""
    groups = Groups(RunWriter(str(folder), "x", 1 << 20), 1 << 20)
    groups.fill(iter([("a", 1)]))
    work = frames.map_(folder, [[0, 0]] * 11, data_bytes=ROOM).work
    kept = KeptStages(cast("MapWork", work), str(folder), "s", began=0)
    kept.note(cast("Invocation", Noted()), "mapper", groups, started=0, now=QUICK_NS)
    return kept


def test_of_a_quick_batch_nothing_is_kept_whatever_one_mapper_took(tmp_path: Path) -> None:
    returned = Returned(1, 11, [], True, b"")
    assert batch_of(tmp_path).close([returned], now=QUICK_NS) is None
    assert blobs(tmp_path) == []


def test_what_was_there_before_a_failure_is_kept_whatever_the_batch_took(tmp_path: Path) -> None:
    wrong = Failure(kind="author", type="ValueError", message="")
    segments = [Returned(1, 10, [], True, b""), FailedRun(11, wrong, stage="reducer")]
    data = batch_of(tmp_path).close(segments, now=QUICK_NS)
    assert records(data, tmp_path) == [(11, "mapper", [["a", [1]]])]


def test_what_there_is_no_room_for_is_left_out_and_said(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW)
    run(state, tmp_path, [0, 5], data_bytes=1)
    assert state.data == StageData()
    assert blobs(tmp_path) == []


@pytest.mark.interpreted
def test_a_disk_that_takes_no_blob_fails_no_invocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of(tmp_path, SLOW)
    monkeypatch.setattr("jobx.handlers.blobs.blob_file._make_folder", _refuse)
    (segment,) = run(state, tmp_path, [0, 5])
    assert segment[0] == "returned"
    assert state.data == StageData()


def _refuse(_: str) -> None:
    raise OSError(28, "No space left on device")


def test_what_is_large_and_hardly_gets_smaller_is_not_compressed() -> None:
    dense = random.Random(1).randbytes(1 << 20).hex().encode()
    for body, is_smaller in ((dense, False), (dense[: 1 << 20], True), (b"ab" * (1 << 20), True)):
        written = _compressed(body)
        assert (len(written) < len(body)) == is_smaller
        assert zlib.decompress(written) == body


def test_the_next_frame_does_not_show_the_data_of_the_last(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW)
    run(state, tmp_path, [0, 5])
    run(state, tmp_path, [0, 5], data_bytes=0)
    assert state.data is None


def test_keys_that_are_not_their_own_identity_are_kept_as_they_are(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW.replace("'a'", "(1, True)"))
    run(state, tmp_path, [0, 5])
    assert records(state.data, tmp_path)[0] == (1, "mapper", [[[1, True], [5, 1]]])


def test_what_is_the_same_as_the_stage_before_is_not_kept_twice(tmp_path: Path) -> None:
    same = frames.load("r", "reducer", "def handler(key, values): yield key, sum(values)")
    state = state_of(tmp_path, SLOW, r=same)
    run(state, tmp_path, [0, 5])
    assert [record[2] for record in records(state.data, tmp_path)][1:] == [[["a", [60]]], "same"]


def test_values_that_msgspec_would_change_are_kept_as_they_are(tmp_path: Path) -> None:
    exact = "import decimal\n" + SLOW.replace("'a', 1", "'a', decimal.Decimal('1.50')")
    last = frames.load("r", "reducer", "def handler(key, values): yield key, values[-1]")
    state = state_of(tmp_path, exact, r=last)
    run(state, tmp_path, [0, 5], combiner=None)
    kept = [record[2] for record in records(state.data, tmp_path)]
    assert kept == [[["a", [5, Decimal("1.50")]]], [["a", [Decimal("1.50")]]]]
