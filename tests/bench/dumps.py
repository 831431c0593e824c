"""Measures a dump of a million invocations: seconds, and the most memory that it takes.

    python -m tests.bench.dumps [--count 1000000] [--slow]

``--slow``: each mapper has an event of its own, as those that take seconds have. The bar is 15 s
and 100 MB.
"""

from __future__ import annotations

import array
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from jobx import entity_json, model, values
from jobx.actors.inspection.dumps import text as dump_text
from jobx.actors.request.events import Accepted, Done, Event, Mapped, to_record
from jobx.actors.request.spans import Span
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import event_log, request_entity
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Put, Write
from jobx.model import HandlerRef, Plan, PlanStep
from jobx.payload import Payload, pack_offsets
from jobx.questions import GetDump

ID: Final = "0" * 26
_CHUNK: Final = 1000
_COMMIT: Final = 5000
_MB: Final = 1 << 20


def write(store: SqliteStore, count: int, *, is_slow: bool) -> None:
    """Write a request with so many mappers below the first one."""
    ref = HandlerRef(handler_name="handler", version="0" * 64)
    steps = {name: PlanStep(mapper=ref, reducer=ref) for name in ("fan", "leaf")}
    request = model.Request(
        workflow_name="w", request_id=ID, job_name="j", invocation_id="m0", state="succeeded",
        is_done=True, accepted_at=1.0, finished_at=2.0,
    )  # fmt: skip
    writes: list[Write] = list(request_entity.accept_writes(request, "n"))
    writes.append(Put(keys.plan("w", "plan"), entity_json.encode(Plan(steps=steps))))
    for number, event in enumerate(_events(count, is_slow=is_slow)):
        writes.append(event_log.event_write("w", ID, number, to_record(event)))
        if len(writes) >= _COMMIT:
            store.commit(writes)
            writes = []
    store.commit(writes)


def _events(count: int, *, is_slow: bool) -> Iterator[Event]:
    yield Accepted(1.0, "j", "fan", "plan", _items(0, 1), 60.0, node="n")
    for start in range(1, count + 1, _CHUNK):
        size = min(_CHUNK, count + 1 - start)
        yield Mapped(1.5, 0, 0, "leaf", start, size, _items(start, size), "digest")
        each = 1 if is_slow else size
        spent = array.array("I", [900] * each + [0] * each + [90] * each).tobytes()
        for first in range(start, start + size, each):
            span = Span(4711, 2000 * each, 1000 * each)
            yielded = (_run(each),)
            yield Done(2.0, "map", start, first, each, "reduced", yielded, 0, spent, span=span)


def _items(first: int, count: int) -> Payload:
    packed = [values.pack([number, f"item {number}"]) for number in range(first, first + count)]
    ends, end = [], 0
    for item in packed:
        end += len(item)
        ends.append(end)
    return Payload(count, end, b"".join(packed), offsets=pack_offsets(ends))


def _run(count: int) -> Payload:
    """Return what reducers of an event have yielded, as one run."""
    body = values.pack([count, [1]])
    return Payload(1, len(body), body)


def _dump(path: Path) -> None:
    with contextlib.closing(SqliteStore(path)) as store:
        asked = GetDump(workflow="w", request_id=ID)
        for chunk in dump_text.chunks(store, BlobFolder(path.parent / "blobs"), asked):
            sys.stdout.buffer.write(chunk)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    most = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    click.echo(f"{' '.join(most.split())}, {time.process_time():.1f} s of a processor", err=True)


@click.command()
@click.option("--count", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--slow", "is_slow", is_flag=True, help="An event for each mapper.")
@click.option("--path", type=click.Path(path_type=Path), help="Dump this store, without measuring.")
def main(count: int, path: Path | None, *, is_slow: bool) -> None:
    """Measure a dump, or make one."""
    if path is not None:
        _dump(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobx.sqlite"
        with contextlib.closing(SqliteStore(path)) as store:
            write(store, count, is_slow=is_slow)
        began, whole = time.monotonic(), Path(folder) / "dump"
        with whole.open("wb") as output:
            command = [sys.executable, "-m", "tests.bench.dumps", "--path", str(path)]
            subprocess.run(command, stdout=output, check=True)
        seconds, size = time.monotonic() - began, whole.stat().st_size
    click.echo(f"{count:,} mappers: {seconds:.1f} s, {size / _MB:.0f} MB written")


if __name__ == "__main__":
    main()
