"""Dumps as text: NDJSON, one JSON document, text for people, and the list of the original."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from jobx import printable
from jobx.actors.inspection.dumps.dump import Dump
from jobx.actors.inspection.dumps.lines import Chunks, DumpAttempt, DumpLine
from jobx.actors.inspection.dumps.plain import PlainEnds
from jobx.actors.inspection.view_builders import request_view
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Store
from jobx.model import Failure
from jobx.questions import GetDump

#: A chunk ends at this size.
CHUNK_BYTES: Final = 64 << 10
_ENCODER: Final = msgspec.json.Encoder()


def chunks(store: Store, blobs: BlobFolder, asked: GetDump) -> Iterator[bytes]:
    """Yield a dump in chunks of about ``CHUNK_BYTES``.

    Args:
        store: Where the request is.
        blobs: The folders of large values.
        asked: What is wanted.

    Raises:
        NotFound: There is no such request; before the first chunk.
        InvalidInput: It is to be below what is no mapper; likewise. It has no such step; with the
            first chunk, as the next one.
        NotFound: It has not mapped the mapper below which all is to be. It is removed meanwhile.
        JobxError: The log cannot be read on.
    """
    dump = Dump(store, blobs, asked)
    chunks = _in_chunks(_FORMS["flat" if asked.is_flat else asked.form](dump, store))
    return _of_whole_log(store, asked, chunks)


def of_lines(lines: list[DumpLine], form: str) -> bytes:
    """Return lines as a dump in a form."""
    if form == "json":
        return _ENCODER.encode({"invocations": lines}) + b"\n"
    if form == "text":
        return "".join(part for line in lines for part in _lines_of(line)).encode()
    return _ENCODER.encode_lines(lines)


def _of_whole_log(store: Store, asked: GetDump, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield chunks of a log; the end of one that was removed meanwhile is no end."""
    with request_entity.reading_log(store, asked.workflow, asked.request_id):
        yield from chunks


def _in_chunks(parts: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for part in parts:
        held += part
        if len(held) >= CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _ndjson(dump: Dump, _: Store) -> Iterator[bytes]:
    for found in dump.batches():
        yield _encoded(found)


def _encoded(found: Sequence[DumpLine] | PlainEnds) -> bytes:
    """Return lines in JSON, each with a newline at its end."""
    return found.encoded() if isinstance(found, PlainEnds) else _ENCODER.encode_lines(found)


def _json(dump: Dump, store: Store) -> Iterator[bytes]:
    request, values = dump.request, dump.values
    if request.failure is not None:
        request = msgspec.structs.replace(request, failure=values.failure(request.failure))
    request = msgspec.structs.replace(request, context=values.show(request.context))
    view = request_view(request, deliveries.read(store, request))
    yield b'{"request":' + _ENCODER.encode(view) + b',"invocations":['
    between = b"\n"
    for found in dump.batches():
        if lines := _encoded(found)[:-1]:
            yield between
            yield lines.replace(b"\n", b",\n")  # there is none within a line
            between = b",\n"
    yield b"\n]}\n"


def _text(dump: Dump, _: Store) -> Iterator[bytes]:
    request = dump.request
    head = f"request {request.workflow_name}/{request.request_id} {request.state}\n"
    yield head.encode()
    for line in dump.lines():
        yield "".join(_lines_of(line)).encode()


def _lines_of(line: DumpLine) -> Iterator[str]:
    """Yield an invocation as text for people."""
    part = "" if line.partition is None else f" partition {line.partition}"
    tries = f", attempt {line.attempt}" if line.attempt > 1 else ""
    yield f"\n{line.invocation_id}{part} {line.state}{tries}: {line.step_name}/{line.handler_name}"
    yield f" {line.version[:12]}{', run again for this dump' if line.rerun else ''}\n"
    if line.node_id or line.run_s is not None:
        yield f"  {_ran(line)}\n"
    for name in ("parent", "arguments", "children", "data", "session"):
        value = getattr(line, name)
        if value is not None:
            yield f"  {name}: {_value(value)}\n"
    for name, why in line.absent.items():
        yield f"  {name}: absent, {printable.line(why)}\n"
    yield from _block("output", line.output)
    for attempt in line.attempts:
        yield f"  attempt {attempt.attempt} failed{_where(attempt)}: {_short(attempt.failure)}\n"
        yield from _block("traceback", attempt.failure.traceback)
        yield from _block("output", attempt.output)
    if line.failure is not None:
        yield f"  failure: {_short(line.failure)}\n"
        yield from _block("traceback", line.failure.traceback)


def _ran(line: DumpLine) -> str:
    words = [f"on {line.node_id}"] if line.node_id else []
    if line.executor is not None:
        words.append(f"in executor {line.executor}")
    if line.queue_s is not None:
        words.append(f"after {line.queue_s:.6f} s in the queue")
    if line.run_s is not None:
        words.append(f"for {line.run_s:.6f} s")
    return printable.line("ran " + ", ".join(words))


def _where(attempt: DumpAttempt) -> str:
    took = "" if attempt.run_s is None else f" after {attempt.run_s:.6f} s"
    return printable.line(f" on {attempt.node_id}{took}" if attempt.node_id else took)


def _short(failure: Failure) -> str:
    return printable.line(f"{failure.kind}: {failure.type}: {failure.message}")


def _block(name: str, text: str | None) -> Iterator[str]:
    if text:
        yield f"  {name}:\n"
        for row in printable.lines(text).rstrip("\n").split("\n"):
            yield f"    {row}\n"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)


def _flat(dump: Dump, _: Store) -> Iterator[bytes]:
    """Yield the tree of invocations: id, kind, step, and which data is there.

    These are arguments (A), and what a combiner (C) and a reducer (R) yielded.
    """
    flags = bytearray()
    for found in dump.batches():
        flags.extend(bytes(max(0, dump.chunks.stop - len(flags))))
        if isinstance(found, PlainEnds):
            flag = _MAP | _GIVEN | _REDUCE | (_COMBINE if found.has_combiner else 0)
            for vertices in found.vertices():
                flags[vertices.start : vertices.stop] = bytes((flag,)) * len(vertices)
            continue
        for line in found:
            flags[int(line.invocation_id[1:])] |= _flag(line)
    yield from _tree(dump.chunks, flags)


#: The flags of a vertex: its invocations that are shown, and its data that is there.
_MAP, _COMBINE, _REDUCE, _GIVEN, _COMBINED, _REDUCED = (1 << n for n in range(6))
_SHOWN: Final = {"m": _MAP, "c": _COMBINE, "r": _REDUCE}


def _flag(line: DumpLine) -> int:
    flag = _SHOWN[line.kind[0]]
    if line.kind == "map":
        return flag | (_GIVEN if line.arguments is not None else 0)
    there = _COMBINED if line.kind == "combine" else _REDUCED
    return flag | (there if line.data is not None else 0)


def _tree(chunks: Chunks, flags: bytearray) -> Iterator[bytes]:
    """Yield the lines of a tree, each below its parent; a loop, since it may be deep."""
    order = sorted(range(len(chunks.starts)), key=chunks.parents.__getitem__)
    parents = [chunks.parents[position] for position in order]

    def below(vertex: int) -> Iterator[int]:
        at = bisect_left(parents, vertex)
        while at < len(order) and parents[at] == vertex:
            yield from chunks.vertices(order[at])
            at += 1

    open_: list[tuple[int, Iterator[int]]] = [(-1, below(-1))]
    while open_:
        vertex, children = open_[-1]
        child = next(children, None)
        depth = len(open_) - 1
        if child is not None:
            yield from _row(chunks, flags, child, f"{'  ' * depth}m")
            open_.append((child, below(child)))
            continue
        open_.pop()
        if vertex >= 0:
            yield from _row(chunks, flags, vertex, f"{'  ' * (depth - 1)}c")
            yield from _row(chunks, flags, vertex, f"{'  ' * (depth - 1)}r")


def _row(chunks: Chunks, flags: bytearray, vertex: int, head: str) -> Iterator[bytes]:
    flag = flags[vertex] if vertex < len(flags) else 0
    if flag & _SHOWN[head[-1]]:
        marks = ((_GIVEN, "A"), (_COMBINED, "C"), (_REDUCED, "R"))
        there = "".join(name if flag & bit else "-" for bit, name in marks)
        step = chunks.steps[chunks.of(vertex)]
        yield f"{head}{vertex} {head[-1].upper()} {there} {step}\n".encode()


_FORMS: Final[dict[str, Callable[[Dump, Store], Iterator[bytes]]]] = {
    "ndjson": _ndjson,
    "json": _json,
    "text": _text,
    "flat": _flat,
}
