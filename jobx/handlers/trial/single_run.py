"""Runs one handler in its own executor, outside any request.

This serves the examples of handlers, ``jobx handler test`` and the tests of authors. A handler runs
as in a node, with the same limits, in a process that is then thrown away.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from jobx import frames, model, segments, values
from jobx.config import Settings, without_secrets
from jobx.errors import FrameError, HandlerFailed, InternalError, InvalidInput
from jobx.handlers import launch
from jobx.handlers.authoring import checks, source
from jobx.handlers.authoring.code_cache import load_of
from jobx.handlers.execution.fork_messages import FORK_NEWS, ProcessEnded
from jobx.handlers.execution.settings import executor_config
from jobx.handlers.pairs import run_merger, run_reader, sequences
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
#: Time limit of an executor's start, of its end, and beyond the time limit of its handler.
GRACE_S: Final = 10.0
_NAME: Final = "trial"
#: Years: what work may have as its time limit at most.
_NO_LIMIT_S: Final = 1e8
_NEWS_BYTES: Final = 1 << 12
#: What a debugger needs of the environment.
_OF_TERMINAL: Final = ("TERM", "HOME", "PYTHONBREAKPOINT")


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
        self._environ = environ
        self._limit_s = limit_s or settings.requests.invocation_time_limit_s
        self._stack = ExitStack()
        self._control: socket.socket | None = None
        self._blob_dir = ""

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self._control = None
        self._stack.close()

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
        sock = self._debugged() if self._is_debugged else self._executor()
        with closing(frames.FrameSocket(sock)) as stream:
            if not _is_ready(stream):
                raise InternalError("an executor for trials did not start")
            sock.settimeout(None if self._is_debugged else limit_s + GRACE_S)
            stream.send(msgspec.structs.replace(load_of(handler, _NAME), file=self._file))
            stream.send(WorkFrame(1, self._blob_dir, _NAME, work))
            try:
                answer = _receive(stream)
            except TimeoutError:
                text = f"it did not end within {limit_s:g} s, nor did its time limit stop it"
                return TrialResult(failure=_failure("timeout", "HandlerTimeout", text))
        if self._control is not None:
            _see_end(self._control)
        if not isinstance(answer, ResultReport):
            text = "it ended the process that it ran in"
            return TrialResult(failure=_failure("crash", "ExecutorCrashed", text))
        return _read(answer.segments[0], self._blob_dir)

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

    def _config(self) -> dict[str, Any]:
        """Return the configuration of an executor of this trial, after making its folder."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="jobx-trial-"))
        self._blob_dir = os.path.join(folder, "blobs")
        config = executor_config(self._settings, self._environ, Path(folder, "tmp"))
        return config | {"blobs": None}  # nobody else reads what it writes

    def _start(self) -> socket.socket:
        """Start a fork server, which ends with this trial; return its socket."""
        config = self._config()
        try:
            ours, process = launch.fork_server(
                config, without_secrets(self._settings, self._environ)
            )
        except OSError as error:
            raise InternalError(f"the fork server for trials does not start: {error}") from error
        self._stack.callback(_end, ours, process)
        ours.settimeout(GRACE_S)
        return ours

    def _debugged(self) -> socket.socket:
        """Start a process at the terminal, which ends with this trial; return its socket."""
        config = self._config()
        environ = {name: self._environ[name] for name in _OF_TERMINAL if name in self._environ}
        try:
            ours, process = launch.at_terminal(config, config["environment"] | environ)
        except OSError as error:
            raise InternalError(f"the process for the debugger does not start: {error}") from error
        self._stack.callback(_end, ours, process)
        # Ctrl-C is for the debugger.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._stack.callback(signal.signal, signal.SIGINT, before)
        ours.settimeout(GRACE_S)
        return ours

    def _executor(self) -> socket.socket:
        """Start an executor and return its socket."""
        control = self._control = self._control or self._start()
        try:
            ours, page = launch.executor(control, 1)
        except OSError as error:
            raise InternalError(f"the fork server for trials is gone: {error}") from error
        page.close()
        ours.settimeout(GRACE_S)
        return ours


def _see_end(control: socket.socket) -> None:
    """Wait until an executor that has answered is gone: what measures it may save what it saw."""
    with suppress(OSError):  # it may take long, and the fork server may be gone
        while message := control.recv(_NEWS_BYTES):
            if isinstance(FORK_NEWS.decode(message), ProcessEnded):
                return


def load(file: Path) -> model.Handler:
    """Return the handler in a file, after the checks of storing.

    Raises:
        InvalidInput: The file is no handler.
        TooLarge: It is too large for a handler.
    """
    source_type = source.source_type_of(file.suffix)
    if source_type is None:
        raise InvalidInput("file", file.name, "no language has this file ending")
    name = source.name_of(Path(file.name))
    handler = source.parse(_NAME, name, source_type, source.read(file))
    source.check(handler)
    return handler


def _end(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GRACE_S)


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


def _failure(kind: str, error_type: str, message: str) -> model.Failure:
    return model.Failure(kind=kind, type=error_type, message=message)
