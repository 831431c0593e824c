"""The trip of one work frame: where its output goes, and the guard around author code."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any, Final, TypeVar, cast

from jobx.handlers.execution import frame_blobs
from jobx.handlers.execution.collecting import Segments, microseconds
from jobx.handlers.execution.stage_data import KeptStages
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.failures import describe, shorten
from jobx.handlers.forked import end
from jobx.handlers.languages import Grouped, Loaded
from jobx.handlers.pairs.checking import yielded
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.handlers.scope.invocation import Invocation
from jobx.handlers.tracebacks import frames_of
from jobx.model import Failure
from jobx.payload import StageData
from jobx.segments import FailedRun, RawNotes, Segment, Stage, pack_notes
from jobx.values import Value
from jobx.work import MapWork, Work, WorkFrame

G = TypeVar("G")
R = TypeVar("R")

now: Final = time.monotonic_ns
#: Time that author code has to say what its exception is.
_TOLD_S: Final = 1.0


class Trip:
    """The trip of a work frame.

    Attributes:
        state: What the executor keeps from frame to frame.
        work: What is to be done.
        folder: Where the blobs of the request are read.
        segments: The segments of the result frame.
        out: Writes output that leaves the executor.
        scratch: Writes output that stays in the executor.
        in_parts: Output may be reduced in parts.
        keeps: Output of mappers is kept until their reducer is done, which may be tried again.
        keeping: Writes that output.
    """

    def __init__(self, state: ExecutorState, frame: WorkFrame) -> None:
        work = frame.work
        batch = work if isinstance(work, MapWork) else None
        self.state = state
        self.work: Work = work
        self._frame = frame
        self.folder = frame_blobs.folder_of(state.shared, frame)
        self.in_parts = work.sections > 1
        self.out = self._writer()
        self.scratch = RunWriter(
            state.limits.scratch_dir, f"scratch-{frame.id}", 0, forked=state.forked
        )
        self.keeps = batch is not None and batch.keeps
        self.keeping = self._writer("-k") if self.keeps else self.scratch
        self._kept: Callable[[Mapping[str, Any]], None] | None = None
        self._limit_s = work.time_limit_s
        self._limits_s = batch.limits_s if batch else {}
        self._later_attempts: Mapping[str, Mapping[int, int]] = (
            batch.later_attempts if batch else {}
        )
        self.segments = Segments()
        #: Keeps what stages yield, if that is asked for.
        self.stages: KeptStages | None = None
        if batch is not None and batch.data_bytes:
            self.stages = KeptStages(batch, frame.blob_dir, frame.blob_stem, now())

    def _writer(self, ending: str = "") -> RunWriter:
        frame, work = self._frame, self.work
        return RunWriter(
            frame.blob_dir,
            frame.blob_stem + ending,
            work.inline_bytes,
            work.sections,
            work.sync,
            forked=self.state.forked,
        )

    def invocation(
        self,
        vertex: int,
        attempt: int,
        *,
        stage: str = "mapper",
        session: dict[str, Value] | None = None,
        given: object = None,
    ) -> Invocation:
        """Return a new invocation of this work."""
        return Invocation(
            self.work.request,
            self.work.step,
            vertex,
            attempt,
            output_bytes=self.state.limits.output_bytes,
            stage=stage,
            session=session,
            given=given,
            redactor=self.state.redactor,
        )

    def groups(self, writer: RunWriter) -> Groups:
        """Return new groups that spill through ``writer``."""
        return Groups(writer, self.state.limits.spill_bytes)

    def begin(self, vertex: int) -> int:
        """Start a vertex and return its start in monotonic ns; 0 if it must not be started."""
        if self.state.is_spoilt:
            return 0
        started = now()
        is_recalled = self.state.page.begin(self._frame.id, vertex, started)
        return 0 if is_recalled else started

    def close(self) -> list[Segment]:
        """Return all segments; the time to write them is counted separately.

        What they name is in the shared place of blobs then, if there is one.
        """
        self.state.page.restart(now())
        segments = self.segments.close()
        if self.stages is not None:
            self._keep_data(self.stages.close(segments, now()))
        if self.state.shared is not None:
            frame_blobs.put(self.state.shared, self.state.page, self._frame, segments)
        return segments

    def _keep_data(self, data: StageData | None) -> None:
        shared = self.state.shared
        if data is not None and shared is not None:
            data = frame_blobs.put_data(shared, self.state.page, self._frame, data)
        self.state.data = data

    def abandon(self) -> None:
        """Remove the output and suspended mappers of work that failed as a whole."""
        self.out.undo(0)
        self.keeping.undo(0)
        if self.stages is not None:
            self.state.data = None
            self.stages.undo()
        self.state.drop(self.work.request.id, self.work.vertices)

    def guard(
        self,
        started: int,
        invocation: Invocation,
        body: Callable[[Trip, Invocation, G], R],
        given: G,
        spent_s: float = 0.0,
    ) -> R | None:
        """Run ``body(self, invocation, given)``: author code that started at ``started``.

        Any exception becomes a failed segment; then its output is removed and None is returned.
        ``spent_s`` is the part of its time limit that the invocation has used before.
        """
        state = self.state
        state.scope.current = invocation
        state.invocations += 1
        mark, kept_mark = self.out.written, self.keeping.written
        try:
            try:
                self._limit(invocation, started, spent_s)
                result = invocation.context.run(body, self, invocation, given)
            finally:
                if state.forked.is_copy:
                    end(sys.exception())
                state.time_limit.stop()
            if self._kept is not None:
                self.keeping.undo(kept_mark)
            return result
        except BaseException as error:  # noqa: BLE001 - author code may raise anything
            self.out.undo(mark)
            if self._kept is None:
                self.keeping.undo(kept_mark)
            state.note_damage(error)
            state.examine(error)
            self._failed(invocation, error, started)
            return None
        finally:
            if self.scratch.written:
                self.scratch.undo(0)
            self._kept = None
            self._drain()
            state.scope.current = None

    def _drain(self) -> None:
        """Collect output that bypassed ``sys.stdout``; self-contained code has none."""
        if not self.state.is_self_contained:
            self.state.drain()

    def _limit(self, invocation: Invocation, started: int, spent_s: float = 0.0) -> None:
        """Start the time limit of the invocation's stage, counted from ``started``."""
        limit_s = self._limits_s.get(invocation.stage, self._limit_s)
        invocation.time_limit_s = limit_s
        invocation.deadline = started / 1e9 + limit_s - spent_s
        self.state.time_limit.start(invocation.deadline, limit_s)

    def _failed(self, invocation: Invocation, error: BaseException, started: int) -> None:
        redact = self.state.redactor.text
        given = redact(shorten(invocation.given)) if invocation.is_told_input else None
        fields = {"input": given} | self._told(error)
        failure = Failure(
            **fields,
            handler_name=invocation.handler or None,
            step_name=invocation.step,
            attempt=invocation.attempt,
        )
        # Release the objects of author code: when memory is short, they hold it.
        traceback.clear_frames(frames_of(error))
        self._drain()
        vertex, duration_us = invocation.vertex, microseconds(now() - started)
        notes = invocation.notes()
        if self._kept is not None:
            own = f"{invocation.stage}_output"
            self._kept({name: note for name, note in notes.items() if name != own})
            notes = {"output": notes[own]} if own in notes else {}
        left = pack_notes({vertex: notes} if notes else {})
        stage = invocation.stage if invocation.is_later else "mapper"
        self.segments.add(FailedRun(vertex, failure, duration_us, left, cast("Stage", stage)))

    def _told(self, error: BaseException) -> dict[str, Any]:
        """Return an exception as fields of a failure; its own ``__str__`` may take for ever."""
        limit, redact = self.state.time_limit, self.state.redactor.text
        limit.start(now() / 1e9 + _TOLD_S, _TOLD_S)
        try:
            return describe(error, redact)
        finally:
            limit.stop()

    def keep(
        self, invocation: Invocation, output: Groups, durations_ns: tuple[int, int, int]
    ) -> None:
        """Keep a mapper's output unchanged, in case its reducer, which runs next, fails."""
        output.payloads()
        vertex, segments = invocation.vertex, self.segments
        self._kept = lambda notes: segments.returned(vertex, output, False, durations_ns, notes)

    def _next_stage(self, invocation: Invocation, stage: str) -> None:
        """Start a combiner or reducer in the trip of its mapper."""
        started = now()
        invocation.stage = stage
        attempts = self._later_attempts
        invocation.attempt = attempts[stage].get(invocation.vertex, 1) if attempts else 1
        self.state.page.restart(started, stage)
        self._limit(invocation, started)

    def stage(
        self,
        invocation: Invocation,
        stage: str,
        version: str,
        given: Groups | Merged,
        writer: RunWriter,
    ) -> Groups:
        """Run a combiner or reducer and return what it yields, grouped."""
        self._drain()  # pending output belongs to the previous stage
        if invocation.stage != stage:
            self._next_stage(invocation, stage)
        handler = self.state.handler(version, invocation)
        output = self.groups(writer)
        grouped = given.grouped(in_order=not handler.in_any_order)
        if invocation.is_later:  # it does not see its mapper's context variables
            Context().run(_fill, output, handler, grouped)
        else:
            _fill(output, handler, grouped)
        return output


def _fill(output: Groups, handler: Loaded, grouped: Grouped) -> None:
    output.fill(yielded(handler.run(grouped)))


def notes_of(invocation: Invocation) -> RawNotes:
    """Return the notes of a segment of one invocation."""
    notes = invocation.notes()
    return pack_notes({invocation.vertex: notes} if notes else {})
