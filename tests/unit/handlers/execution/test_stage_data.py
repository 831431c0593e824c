from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any, cast

import pytest

from jobx import values
from jobx.handlers.execution.stage_data import BLOB_NS, KeptStages, _compressed
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.run_merger import merge
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.handlers.scope.invocation import Invocation
from jobx.model import Failure
from jobx.payload import IN_PAYLOADS, STAGE_DATA, Payload, StageData
from jobx.segments import FailedRun, Returned
from jobx.work import QUICK_NS, MapWork
from tests.support import frames

SLOW = (
    "import time\nyield Return()\ntime.sleep(0.002)\n"
    "for k, v in arguments:\n yield 'a', v\n yield 'a', 1"
)
QUICK = SLOW.replace("time.sleep(0.002)", "pass")
LOADS = {
    "c": frames.load("c", "combiner", "def handler(key, values): yield key, sum(values) * 10"),
    "r": frames.load("r", "reducer", "def handler(key, values): yield key, sum(values) + 1"),
}
#: What a batch of one mapper takes at least that is worth a blob.
LEAST_NS = BLOB_NS + QUICK_NS
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


@pytest.mark.interpreted
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


def batch_of(folder: Path) -> KeptStages:
    """Return a batch in which vertex 11 was slow, after ten quick ones."""
    groups = Groups(RunWriter(str(folder), "x", 1 << 20), 1 << 20)
    groups.fill(iter([("a", 1)]))
    work = frames.map_(folder, [[0, 0]] * 11, data_bytes=ROOM).work
    kept = KeptStages(cast("MapWork", work), str(folder), "s", began=0)
    noted = Invocation(frames.REQUEST, "s", 11, 2, output_bytes=10)
    kept.note(noted, "mapper", groups, started=0, now=QUICK_NS)
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


@pytest.mark.parametrize(
    ("used", "is_kept"),
    [((LEAST_NS - 1, 7), False), ((LEAST_NS, 7), True), ((0, 8), True)],
    ids=["waited for a processor alone", "used one", "waited for something else"],
)
def test_a_batch_that_had_to_wait_for_a_processor_is_as_quick_as_any(
    tmp_path: Path, used: tuple[int, int], is_kept: bool
) -> None:
    groups = Groups(RunWriter(str(tmp_path), "x", 1 << 20), 1 << 20)
    groups.fill(iter([("a", 1)]))
    work = frames.map_(tmp_path, [[0, 0]], data_bytes=ROOM).work
    told = iter([(0, 7), used])
    kept = KeptStages(cast("MapWork", work), str(tmp_path), "s", 0, lambda: next(told))
    noted = Invocation(frames.REQUEST, "s", 1, 1, output_bytes=10)
    kept.note(noted, "mapper", groups, started=0, now=LEAST_NS)
    data = kept.close([Returned(1, 1, [], True, b"")], now=LEAST_NS)
    assert (data is not None) == is_kept
    assert bool(blobs(tmp_path)) == is_kept


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


DENSE = random.Random(1).randbytes(1 << 20).hex().encode()


@pytest.mark.parametrize("cut", [1, 1000, 1 << 19])
def test_what_is_large_and_hardly_gets_smaller_stays_as_it_is(cut: int) -> None:
    pieces = [DENSE[:cut], DENSE[cut:]]
    assert _compressed(pieces) is pieces


@pytest.mark.parametrize("body", [DENSE[: 1 << 20], b"ab" * (1 << 20), b"", b"a"])
@pytest.mark.parametrize("cut", [0, 1000])
def test_everything_else_is_compressed(body: bytes, cut: int) -> None:
    written = b"".join(_compressed([body[:cut], body[cut:]]))
    assert zlib.decompress(written) == body
    assert len(written) < len(body) + 16


YIELDS_TEXT = SLOW.replace("yield 'a', 1", "yield 'b', v")
FIRST = "def handler(key, values): yield key, values[0]"
FAILING = "def handler(key, values):\n  for one in values: raise ValueError(key)\n  yield"


def large(folder: Path, reducer: str, mapper: str = YIELDS_TEXT) -> tuple[list[Any], list[Any]]:
    """Have a mapper yield large texts; return what is kept, and the segments."""
    state = state_of(folder, mapper, f=frames.load("f", "reducer", reducer))
    segments = run(state, folder, [0, DENSE.decode()], combiner="", reducer="f", data_bytes=1 << 24)
    assert state.data is not None
    body = (folder / state.data.blob).read_bytes()
    reader = values.unpacker()
    reader.feed(body if body[:1] == b"\x94" else zlib.decompress(body))
    return [(stage, values.unpack(pairs or b"\xc0")) for _, stage, _, pairs in reader], segments


def test_of_a_large_text_that_goes_out_only_the_place_is_kept(tmp_path: Path) -> None:
    found, ((_, _, _, payloads, *_),) = large(tmp_path, FIRST)
    assert found == [("mapper", [IN_PAYLOADS, payloads]), ("reducer", None)]
    (run_of_it,) = map(Payload.from_wire, payloads)
    assert list(merge([run_of_it], str(tmp_path))) == [(key, [DENSE.decode()]) for key in "ab"]


def test_of_a_large_text_that_a_reducer_changes_both_are_kept(tmp_path: Path) -> None:
    found, ((_, _, _, payloads, *_),) = large(tmp_path, FIRST.replace("values[0]", "values[0] * 2"))
    text = [DENSE.decode()]
    assert found == [("mapper", {"a": text, "b": text}), ("reducer", [IN_PAYLOADS, payloads])]


def test_a_large_text_is_kept_where_its_reducer_fails(tmp_path: Path) -> None:
    found, _ = large(tmp_path, FAILING)
    assert found == [("mapper", {"a": [DENSE.decode()], "b": [DENSE.decode()]})]
