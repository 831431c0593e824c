"""The state that an executor keeps from frame to frame."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import asdict

from jobx.errors import InternalError, StoreRefused, StoreUnavailable
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.execution.shared_page import SharedPage
from jobx.handlers.execution.suspended import SuspendedMapper
from jobx.handlers.execution.time_limit import IMPORT_SYSTEM, TimeLimit
from jobx.handlers.forked import Forked, end
from jobx.handlers.languages import Loaded, processor
from jobx.handlers.languages.guests import Guests
from jobx.handlers.scope.factories import ScopeFactories
from jobx.handlers.scope.invocation import Invocation
from jobx.handlers.scope.names import Scope
from jobx.handlers.scope.secrets import Redactor
from jobx.handlers.tracebacks import frames_of
from jobx.payload import StageData
from jobx.system.errors import is_of_own_limit
from jobx.work import LoadHandler

#: Approximate size of a result frame at which a batch ends early.
SEGMENTS_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """The limits of an invocation, and of a batch.

    Attributes:
        output_bytes: Most captured output.
        spill_bytes: Estimated memory of pairs, beyond which they are written to files.
        scratch_dir: The folder of those files.
        segments_bytes: Segments of one answer, after which its batch ends.
    """

    output_bytes: int
    spill_bytes: int
    scratch_dir: str
    segments_bytes: int = SEGMENTS_BYTES


class ExecutorState:
    """What an executor keeps from frame to frame: handlers and suspended mappers.

    Args:
        scope: The names for author code.
        time_limit: Interrupts invocations that exceed their time limit.
        page: The page shared with the node.
        limits: The limits of an invocation.
        drain: Called at the end of each invocation, to collect output that is still on its way.
        guests: Processes that run other languages; by default they work in the scratch folder.
        factories: Add names for some handlers.
        redactor: Hides the secrets that the factories got.
        shared: The place that has all blobs; None: they are in a folder only.

    Attributes:
        invocations: Invocations that ran.
        suspended: Suspended mappers by request id and vertex.
        forked: Detects a process that author code forked from this one.
        watch_load: Called before a handler is loaded; what it returns is called after that.
        examine: Called with the exception that ends an invocation, before its frames are gone.
        is_self_contained: No code that could change this process has run so far. Such code
            could change it even later, while no invocation runs.
    """

    def __init__(
        self,
        scope: Scope,
        time_limit: TimeLimit,
        page: SharedPage,
        limits: OutputLimits,
        *,
        drain: Callable[[], None] = lambda: None,
        guests: Guests | None = None,
        factories: ScopeFactories | None = None,
        redactor: Redactor | None = None,
        shared: SharedBlobs | None = None,
    ) -> None:
        self.shared = shared
        self.scope = scope
        self.time_limit = time_limit
        self.page = page
        self.limits = limits
        self.drain = drain
        self.guests = guests or Guests(limits.scratch_dir)
        self.redactor = redactor or Redactor()
        self._factories = factories or ScopeFactories({}, {})
        self.invocations = 0
        self.forked = Forked()
        self.watch_load: Callable[[], Callable[[], None]] = lambda: lambda: None
        self.examine: Callable[[BaseException], None] = lambda error: None
        self.is_self_contained = True
        self._is_spoilt = False
        #: What the stages of the last work frame yielded, if that was kept.
        self.data: StageData | None = None
        self.suspended: dict[tuple[str, int], SuspendedMapper] = {}
        self._sources: dict[str, dict[str, Any]] = {}
        self._handlers: dict[str, Loaded] = {}

    @property
    def is_spoilt(self) -> bool:
        """Whether this process may fail those that follow.

        An import was interrupted, so that handlers may see an incomplete module; or author code
        has brought the process to a limit, and it cannot write.
        """
        return self._is_spoilt or self.time_limit.cut_import

    def note_damage(self, error: BaseException) -> None:
        """Note if an invocation spoilt the process: this tells it from the error that it raised."""
        if issubclass(type(error), StoreRefused | StoreUnavailable) and is_of_own_limit(error):
            self._is_spoilt = True
        if issubclass(type(error), MemoryError | RecursionError):  # its __class__ may raise
            files = (frame.f_code.co_filename for frame, _ in traceback.walk_tb(frames_of(error)))
            if any(file.startswith(IMPORT_SYSTEM) for file in files):
                self._is_spoilt = True

    def load(self, load: LoadHandler) -> None:
        """Store a handler; it is compiled at its first use."""
        self._sources[load.version] = asdict(load)

    def handler(self, version: str, invocation: Invocation) -> Loaded:
        """Return a handler for the invocation that will run it.

        Raises:
            InternalError: It was not sent.
            Misuse: Its scope factory failed.
            BaseException: Whatever the top level of its module raises.
        """
        loaded = self._handlers.get(version)
        if loaded is None:
            loaded = self._handlers[version] = self._loaded(version, invocation)
        invocation.handler = loaded.name
        return loaded

    def _loaded(self, version: str, invocation: Invocation) -> Loaded:
        source = self._sources.get(version)
        if source is None:
            raise InternalError(f"handler {version} was not sent to this executor")
        invocation.handler = source["name"]
        was_self_contained, self.is_self_contained = (
            self.is_self_contained,
            False,
        )  # in case loading fails
        scope = self.scope.extended(self._factories.names(source, self.scope.reserved))
        keep = self.watch_load()
        loaded = processor(source["source_type"]).load(source, scope, self.guests)
        keep()
        self.is_self_contained = was_self_contained and loaded.is_self_contained
        return loaded

    def per_key(self, version: str, invocation: Invocation) -> bool:
        """Tell whether a reducer is called once a key.

        False when it cannot be loaded, too.
        """
        if version not in self._handlers:
            mapper = invocation.handler
            try:
                self.handler(version, invocation)
            except Exception:  # noqa: BLE001 - its own invocation finds the same, and is blamed
                return False
            finally:
                invocation.handler = mapper
        return self._handlers[version].per_key

    def suspend(self, mapper: SuspendedMapper) -> None:
        """Keep a suspended mapper; one of an earlier attempt is closed."""
        owner = (mapper.invocation.request.id, mapper.invocation.vertex)
        before = self.suspended.pop(owner, None)
        if before is not None:
            self.discard(before)
        self.suspended[owner] = mapper

    def drop(self, request_id: str, vertices: Sequence[int] | None) -> None:
        """Close suspended mappers of a request, all of them when ``vertices`` is None."""
        wanted = None if vertices is None else set(vertices)
        for owner, vertex in list(self.suspended):
            if owner == request_id and (wanted is None or vertex in wanted):
                self.discard(self.suspended.pop((owner, vertex)))

    def discard(self, mapper: SuspendedMapper) -> None:
        """Close a suspended mapper; exceptions of its ``finally`` blocks are ignored."""
        self.scope.current = mapper.invocation
        try:
            self.time_limit.start(time.monotonic() + 1.0, 1.0)
            mapper.invocation.context.run(mapper.close)
        except BaseException:  # noqa: BLE001, S110 - author code whose outcome is not wanted
            pass
        finally:
            if self.forked.is_copy:
                end(sys.exception())
            self.time_limit.stop()
            self.scope.current = None
