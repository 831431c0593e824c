"""Runs one handler in an executor of its own, outside any request.

This serves the examples of handlers, ``jobx handler test`` and the tests of authors. A handler runs
as in a node, with the same limits, in a process that is then thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from jobx import frames, model, segments, values
from jobx.config import Settings
from jobx.errors import FrameError, HandlerFailed, InternalError, InvalidInput
from jobx.handlers import languages
from jobx.handlers.authoring import checks, source
from jobx.handlers.authoring.code_cache import load_of
from jobx.handlers.pairs import run_merger, run_reader, sequences
from jobx.handlers.trial.own_executors import GRACE_S, OwnExecutors
from jobx.payload import Payload
from jobx.segments import (
    FailedRun,
    MappedChunk,
    Report,
    ResultReport,
    Segment,
    Unstarted,
    read_notes,
)
from jobx.values import Key, Pair, Value
from jobx.work import CombineWork, MapWork, ReduceWork, RequestInfo, WorkFrame

#: Pairs that are read from a mapper that maps on; further ones are not asked for.
MAX_CHILDREN: Final = 10_000
_NAME: Final = "trial"
#: Years: what work may have as its time limit at most.
_NO_LIMIT_S: Final = 1e8


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The outcome of one run of a handler.

    Attributes:
        yielded: The yielded pairs, none if it failed; see ``pairs``.
        step: The step that a mapper maps on to, None if it returns.
        output: Captured output.
        session: What a mapper left for its reducer.
        failure: Why it failed, or None.
    """

    yielded: list[Pair] = field(default_factory=list)
    step: str | None = None
    output: str = ""
    session: dict[str, Value] = field(default_factory=dict)
    failure: model.Failure | None = None

    @property
    def pairs(self) -> list[Pair]:
        """The yielded pairs, sorted by key except for a mapper that maps on.

        Raises:
            HandlerFailed: It failed, so no pair counts.
        """
        failure = self.failure
        if failure is not None:
            raise HandlerFailed(failure.handler_name or _NAME, failure.type, failure.message)
        return self.yielded


class Trial:
    """Runs handlers, each run in its own executor; a context manager.

    The first run starts the fork server.

    Args:
        settings: Limits of executors.
        environ: The environment; author code sees of it what the settings allow.
        limit_s: Time limit of one run, if that of its handler is longer.
        file: The file of the handler, for debuggers and coverage.
        is_debugged: It runs at the terminal, under the debugger, without limits.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        limit_s: float | None = None,
        *,
        file: Path | None = None,
        is_debugged: bool = False,
    ) -> None:
        self._settings = settings
        self._file = "" if file is None else str(file.absolute())
        self._is_debugged = is_debugged
        self._limit_s = limit_s or settings.requests.invocation_time_limit_s
        self._executors = OwnExecutors(settings, environ, is_debugged=is_debugged)

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self._executors.close()

    def map(
        self,
        handler: model.Handler,
        *,
        arguments: Mapping[str, Value] | None = None,
        pair: Pair | None = None,
    ) -> TrialResult:
        """Run a mapper on the arguments of a request, or on one mapped pair.

        Raises:
            InvalidInput: Its input cannot be a value.
            InternalError: No executor could run it.
        """
        item = list(map(list, (arguments or {}).items())) if pair is None else list(pair)
        body = values.pack(item)
        work = MapWork(
            **self._common(handler),
            first=0,
            count=1,
            root=pair is None,
            mapper=_NAME,
            pairs=body,
            chunk_pairs=MAX_CHILDREN,
            batch_s=GRACE_S,
        )
        return self._run(handler, work)

    def reduce(
        self,
        handler: model.Handler,
        results: Sequence[tuple[Key, Sequence[Value]]],
        session: Mapping[str, Value] | None = None,
    ) -> TrialResult:
        """Run a combiner or a reducer over grouped pairs, in key order.

        Raises:
            InvalidInput: Its input cannot be a key or a value.
            InternalError: No executor could run it.
        """
        ordered = sorted(results, key=lambda item: values.sort_key(values.freeze(item[0])))
        body = b"".join(values.pack([key, list(listed)]) for key, listed in ordered)
        common, inputs = self._common(handler), [Payload(len(ordered), len(body), body).to_wire()]
        if handler.handler_type == "combiner":
            return self._run(
                handler, CombineWork(**common, vertex=0, combiner=_NAME, inputs=inputs)
            )
        left = values.pack(dict(session or {}))
        work = ReduceWork(**common, vertex=0, reducer=_NAME, inputs=inputs, session=left)
        return self._run(handler, work)

    def _run(self, handler: model.Handler, work: MapWork | CombineWork | ReduceWork) -> TrialResult:
        limit_s = work.time_limit_s
        sock, blob_dir = self._executors.start()
        with closing(frames.FrameSocket(sock)) as stream:
            if not _is_ready(stream):
                raise InternalError("an executor for trials did not start")
            sock.settimeout(None if self._is_debugged else limit_s + GRACE_S)
            stream.send(msgspec.structs.replace(load_of(handler, _NAME), file=self._file))
            stream.send(WorkFrame(1, blob_dir, _NAME, work))
            try:
                answer = _receive(stream)
            except TimeoutError:
                text = f"it did not end within {limit_s:g} s, nor did its time limit stop it"
                return _failed("timeout", "HandlerTimeout", text)
        self._executors.see_end()
        if not isinstance(answer, ResultReport):
            text = "it ended the process that it ran in"
            return _failed("crash", "ExecutorCrashed", text)
        return _read(answer.segments[0], blob_dir)

    def _common(self, handler: model.Handler) -> dict[str, Any]:
        return {
            "request": RequestInfo(_NAME, handler.workflow_name, _NAME),
            "step": _NAME,
            "inline_bytes": self._settings.inline_bytes,
            "time_limit_s": self._time_limit_s(handler),
        }

    def _time_limit_s(self, handler: model.Handler) -> float:
        """Return the time limit of one run; a module is compiled in it."""
        if self._is_debugged:
            return _NO_LIMIT_S
        limit_s = min(handler.time_limit_s or self._limit_s, self._limit_s)
        is_compiled = handler.source_type == checks.COMPILED
        return limit_s + (checks.limits_of(checks.COMPILED).wall_s if is_compiled else 0.0)


def load(file: Path) -> model.Handler:
    """Return the handler in a file, after the checks of storing.

    Raises:
        InvalidInput: The file is no handler.
        TooLarge: It is too large for a handler.
    """
    source_type = languages.by_ending(file.suffix)
    if source_type is None:
        raise InvalidInput("file", file.name, "no language has this file ending")
    name = source.name_of(Path(file.name))
    handler = source.parse(_NAME, name, source_type, source.read(file))
    source.check(handler)
    return handler


def _is_ready(stream: frames.FrameSocket) -> bool:
    try:
        return _receive(stream) is not None
    except TimeoutError:
        return False


def _receive(stream: frames.FrameSocket) -> Report | None:
    """Return the next report, None if the executor is gone; raises TimeoutError."""
    try:
        body = stream.receive_body()
        return None if body is None else segments.decode(body)
    except (ConnectionError, FrameError):
        return None


def _read(segment: Segment, blob_dir: str) -> TrialResult:
    """Return the outcome in a segment."""
    if isinstance(segment, Unstarted):
        return TrialResult()
    note = read_notes(segment.notes).get(0, {})
    output, session = note.get("output", ""), note.get("session", {})
    if isinstance(segment, FailedRun):
        return TrialResult(output=output, session=session, failure=segment.failure)
    if isinstance(segment, MappedChunk):
        chunk = Payload.from_wire(segment.payload)
        children = sequences.unpack(run_reader.whole(chunk, blob_dir), chunk.count)
        pairs = [(values.freeze(key), value) for key, value in children]
        return TrialResult(pairs, segment.step, output, session)
    wires = map(Payload.from_wire, segment.payloads)
    return TrialResult(list(run_merger.pairs(wires, blob_dir)), None, output, session)


def _failed(kind: str, error_type: str, message: str) -> TrialResult:
    return TrialResult(failure=model.Failure(kind=kind, type=error_type, message=message))
