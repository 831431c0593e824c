"""Main of an executor: the process that runs author code and nothing else.

It reads frames, runs them and answers, until the node closes its end. All of them are of one
workflow. Changes that author code makes to the process are undone after a work frame or before
another request's code runs; otherwise the process ends. ``docs/guarantees.md`` lists the changes
that may remain within the workflow.
"""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from jobx import work
from jobx.errors import FrameError
from jobx.frames import FrameSocket, encode
from jobx.handlers.blobs import opening
from jobx.handlers.capture import Capture
from jobx.handlers.execution import work_kinds
from jobx.handlers.execution.rehearsal import rehearse
from jobx.handlers.execution.shared_page import SharedPage
from jobx.handlers.execution.state import SEGMENTS_BYTES, ExecutorState, OutputLimits
from jobx.handlers.execution.surroundings import Surroundings
from jobx.handlers.execution.time_limit import TimeLimit
from jobx.handlers.files.files import OWN_THREADS, shared_files
from jobx.handlers.languages.guests import Guests
from jobx.handlers.languages.python_module import folder_of
from jobx.handlers.scope.factories import ScopeFactories
from jobx.handlers.scope.names import Scope
from jobx.handlers.scope.secrets import Redactor
from jobx.segments import Leaving, ReadyReport, ResultReport
from jobx.system import kernel, processes
from jobx.work import DropMappers, LoadHandler, WorkFrame

#: Descriptors of the executor itself are at least this, out of the way of author code.
_LOWEST_OWN: Final = 200
#: Shortest time between two reads of the resident memory, since one takes as long as a small
#: invocation.
_WEIGH_S: Final = 0.1
#: Shortest time between two searches for module names replaced without setting an attribute.
_THOROUGH_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of executors, as the fork server got it.

    Attributes:
        memory_bytes: Address space of the process; 0 means no limit.
        output_bytes: Captured output of one invocation that is kept.
        spill_bytes: Pairs that one invocation may hold in memory, by estimate.
        recycle_invocations: An executor leaves after this many invocations …
        recycle_growth_bytes: … or when its resident memory has grown by this much.
        environment: The environment of author code.
        temp_dir: Where the private folders of executors are made.
        programs: Folders whose programs may run handlers.
        wasm_fuel: Fuel of one invocation of a WebAssembly module.
        wasm_memory_bytes: Memory of a WebAssembly module.
        segments_bytes: Segments of one answer, after which a batch ends.
        blobs: ``BlobSettings`` as plain values, None when blobs are not shared.
        files: ``FilesSettings`` as plain values, None when there are no shared files.
        factories: Scope factories by workflow.
        factory_path: Folders from which the factories are imported.
        secrets: Secrets that the factories get, by name.
    """

    memory_bytes: int
    output_bytes: int
    spill_bytes: int
    recycle_invocations: int
    recycle_growth_bytes: int
    environment: Mapping[str, str]
    temp_dir: str
    programs: Sequence[str] = ()
    wasm_fuel: int = 0
    wasm_memory_bytes: int = 0
    segments_bytes: int = SEGMENTS_BYTES
    blobs: Mapping[str, Any] | None = field(default=None, repr=False)
    files: Mapping[str, Any] | None = None
    factories: Mapping[str, str] = field(default_factory=dict)
    factory_path: Sequence[str] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def lift(descriptor: int) -> int:
    """Move a descriptor out of the way of author code and return its new number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = _LOWEST_OWN if soft > 2 * _LOWEST_OWN else 3
    lifted = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(descriptor)
    return lifted


def close_others(kept: set[int | None]) -> None:
    """Close all descriptors but those given."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:  # the one that listed the folder
                continue


def main(
    stream_fd: int,
    page: SharedPage,
    config: Config,
    folder: str,
    surroundings: Surroundings,
    *,
    complaints_fd: int | None = None,
) -> None:
    """Run frames until the node closes its end, tells it to leave, or this process is used up.

    Args:
        stream_fd: Socket to the node.
        page: The page shared with the node.
        config: The configuration.
        folder: The private folder, already the working directory.
        surroundings: What is restored, before ``enter``.
        complaints_fd: Stays open as well, but not in processes that author code forks.
    """
    kernel.prctl(kernel.ADOPT_ORPHANS, 1)
    kernel.give_way()  # otherwise each frame that the node sends interrupts it
    rehearse(folder)  # before there is a thread, which makes copies of pages slower
    scope = Scope()
    capture = Capture(lift, scope.take)
    stream_fd = lift(stream_fd)
    close_others({stream_fd, *capture.descriptors, complaints_fd})
    capture.start()
    time_limit = TimeLimit()
    state = state_of(config, folder, page, scope, time_limit=time_limit, drain=capture.drain)
    if complaints_fd is not None:
        state.forked.watch(lambda: os.close(complaints_fd))
    frames = FrameSocket(socket.socket(fileno=stream_fd))
    surroundings.enter(folder)
    executor = _Executor(state, capture, frames, config, surroundings)
    with suppress(ConnectionError):  # the node closed its end, and wants no answer
        executor.run()


def state_of(
    config: Config,
    folder: str,
    page: SharedPage,
    scope: Scope,
    *,
    time_limit: TimeLimit,
    drain: Callable[[], None] = lambda: None,
) -> ExecutorState:
    """Return the state of a process that runs author code; it has the scope's own path."""
    if config.files is not None:
        scope.add("FS", shared_files(config.files, scope.workflow))
    # Last, so that they hide no installed module.
    sys.path += [*config.factory_path, folder_of(folder)]
    return ExecutorState(
        scope,
        time_limit,
        page,
        OutputLimits(config.output_bytes, config.spill_bytes, folder, config.segments_bytes),
        drain=drain,
        guests=Guests(folder, config.programs, config.wasm_fuel, config.wasm_memory_bytes),
        factories=ScopeFactories(config.factories, config.secrets),
        redactor=Redactor(config.secrets.values()),
        shared=opening.of_executor(config.blobs),
    )


class _Executor:
    def __init__(
        self,
        state: ExecutorState,
        capture: Capture,
        frames: FrameSocket,
        config: Config,
        surroundings: Surroundings,
    ) -> None:
        self._state = state
        self._capture = capture
        self._frames = frames
        self._config = config
        self._surroundings = surroundings
        state.watch_load = self._surroundings.watch_load
        self._request_id = ""
        self._is_clean = self._is_whole = True
        self._thorough_at = 0.0
        state.forked.watch(self._let_go)
        self._restore()
        self._threads = threading.active_count()
        self._weigh()
        self._first_rss_bytes = self._rss_bytes

    def run(self) -> None:
        frames, state = self._frames, self._state
        frames.send(ReadyReport(os.getpid()))
        while (body := frames.receive_body()) is not None:
            order = work.decode(body)
            if isinstance(order, WorkFrame):
                self._work(order)
                if self._is_used_up():
                    frames.send(Leaving())
                    return
            elif isinstance(order, LoadHandler):
                state.load(order)
            elif isinstance(order, DropMappers):
                state.drop(order.request_id, order.vertices)
            else:
                return

    def _work(self, frame: WorkFrame) -> None:
        """Run and answer a work frame; clean up after the answer, since somebody waits for it.

        It is not run where an earlier request cannot be cleaned up: the executor leaves then.
        """
        page, request_id = self._state.page, frame.work.request.id
        page.take_up(frame.id, time.monotonic_ns())
        if request_id != self._request_id:
            self._clean()
            if self._must_leave():
                return
            self._request_id = request_id
        segments = work_kinds.run(self._state, frame)
        result = ResultReport(frame.id, request_id, segments, self._state.data)
        self._is_clean = self._state.is_self_contained and not self._state.guests.are_used
        self._state.forked.check()
        page.take_up(frame.id, time.monotonic_ns())
        try:
            answer = encode(result)
        except FrameError as error:
            work_kinds.abandon(self._state, frame.work)
            answer = encode(
                ResultReport(frame.id, request_id, work_kinds.failed(frame.work, error))
            )
        self._frames.send_bytes(answer)
        if not self._state.is_self_contained:
            self._undo(self._restore)
        elif self._state.guests.are_used:
            self._undo(self._surroundings.restore_folder)
        page.take_up(0, 0)
        if not (self._is_clean or self._frames.is_pending()):  # nobody waits meanwhile
            self._clean()

    def _restore(self) -> None:
        """Undo changes of author code that would affect the next work frame of any request."""
        self._capture.restore()
        self._surroundings.restore_signals()
        self._state.time_limit.install()
        self._surroundings.restore_folder()

    def _clean(self) -> None:
        """Undo changes of one request's code to the process before another request's code runs."""
        if self._is_clean:
            return
        if not self._state.is_self_contained:
            self._undo(self._clean_process)
        if not self._state.suspended:  # suspended mappers may still use files and child processes
            self._undo(self._surroundings.remove_files)
            self._undo(self._state.guests.restore)
        self._is_clean = not self._state.suspended

    def _undo(self, undo: Callable[[], None]) -> None:
        """Undo changes of author code; if that fails in whatever way, the executor leaves."""
        try:
            undo()
        except Exception:  # noqa: BLE001 - what author code changed may fail in any way
            self._is_whole = False

    def _must_leave(self) -> bool:
        """Tell whether something cannot be undone; suspended mappers would be lost."""
        return not (self._is_whole or self._state.suspended)

    def _clean_process(self) -> None:
        now = time.monotonic()
        is_thorough = now >= self._thorough_at
        if is_thorough:
            self._thorough_at = now + _THOROUGH_S
        if not self._surroundings.restore(is_thorough=is_thorough):
            self._is_whole = False

    def _let_go(self) -> None:
        """Drop the socket and the page in a process that author code forked."""
        self._frames.let_go()
        self._state.page.let_go()

    def _is_used_up(self) -> bool:
        state, config = self._state, self._config
        if time.monotonic() - self._weighed_at > _WEIGH_S:
            self._weigh()
        if state.is_spoilt:
            return True
        if state.suspended:  # they would be lost, restarted, and lost again
            return False
        growth_bytes = self._rss_bytes - self._first_rss_bytes
        is_old = state.invocations >= config.recycle_invocations or self._must_leave()
        return is_old or growth_bytes >= config.recycle_growth_bytes or self._is_haunted()

    def _weigh(self) -> None:
        self._rss_bytes = processes.rss_bytes() + self._state.guests.rss_bytes()
        self._state.page.rss_bytes = self._rss_bytes
        self._weighed_at = time.monotonic()

    def _is_haunted(self) -> bool:
        """Tell whether author code left threads or child processes behind."""
        if self._state.is_self_contained and not self._state.guests.are_used:
            return False
        if threading.active_count() > self._threads:
            authors = [t for t in threading.enumerate() if not t.name.startswith(OWN_THREADS)]
            if len(authors) > self._threads:
                return True
        return self._state.guests.has_strangers()
