"""Traces of the messages that actors handle: on while somebody asks, and at no cost otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from jobx.actors.runtime.actor_filter import ActorFilter
from jobx.actors.runtime.cell import Cell
from jobx.actors.runtime.engine import Engine
from jobx.errors import Overloaded

#: Traces that are on at once.
MOST_TRACES: Final = 8
#: Parts of a message whose sizes are added.
MOST_PARTS: Final = 500
#: Bytes of a part that is neither text nor bytes nor made of parts.
_PLAIN_BYTES: Final = 8


class HandledMessage(NamedTuple):
    """A message that an actor has handled; times in seconds, ``began_s`` is monotonic.

    Attributes:
        size_is_least: It has more parts than were measured.
        failed: It ended the actor.
    """

    began_s: float
    receiver: str
    class_name: str
    message: str
    size_bytes: int
    size_is_least: bool
    sender: str
    sender_class: str | None
    waited_s: float
    took_s: float
    failed: bool


class MailTrace:
    """One trace; ``ended`` is called once, when it has ``limit`` messages."""

    def __init__(
        self,
        fits: Callable[[Cell], bool],
        limit: int,
        ended: Callable[[], object],
    ) -> None:
        self.fits = fits
        self.messages: list[HandledMessage] = []
        self._limit = limit
        self._ended = ended

    @property
    def is_full(self) -> bool:
        """Whether it takes no more."""
        return len(self.messages) >= self._limit

    def take(self, handled: HandledMessage) -> None:
        """Take a message."""
        self.messages.append(handled)
        if self.is_full:
            self._ended()


class MailTraces:
    """The traces of an engine. While there is one, each message goes through ``_step``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: list[MailTrace] = []

    def __len__(self) -> int:
        return len(self._open)

    def begin(
        self,
        wanted: ActorFilter,
        only: Cell | None,
        limit: int,
        ended: Callable[[], object] = lambda: None,
    ) -> MailTrace:
        """Begin a trace of the actors that a filter lets through, of ``only`` one of them.

        Raises:
            Overloaded: Too many are on.
        """
        if len(self._open) >= MOST_TRACES:
            raise Overloaded(f"{MOST_TRACES} traces of actors are on")
        fits = wanted.fits if only is None else lambda cell: cell is only and wanted.fits(cell)
        trace = MailTrace(fits, limit, ended)
        self._open.append(trace)
        self._engine.step = self._step
        return trace

    def end(self, trace: MailTrace) -> None:
        """End a trace; nothing if it has ended."""
        if trace in self._open:
            self._open.remove(trace)
        if not self._open:
            self._engine.step = self._engine.run_next

    def _step(self, queue: deque[Cell]) -> None:
        engine, cell = self._engine, queue[0]
        mail = cell.mailbox[0] if cell.mailbox else None
        takers = [] if mail is None else [trace for trace in self._open if trace.fits(cell)]
        if mail is None or not takers:
            engine.run_next(queue)
            return
        message, sender, sent_s = mail
        size_bytes, size_is_least = size_of(message)
        began_s, failed = engine.stamp_s, cell.account.failed
        engine.run_next(queue)
        from_cell = engine.find(sender.addressDetails)
        handled = HandledMessage(
            began_s,
            str(cell.address),
            cell.account.class_name,
            type(message).__name__,
            size_bytes,
            size_is_least,
            str(sender),
            from_cell.account.class_name if from_cell is not None else None,
            max(0.0, began_s - sent_s),
            engine.stamp_s - began_s,
            cell.account.failed > failed,
        )
        for trace in takers:
            trace.take(handled)
            if trace.is_full:
                self.end(trace)


def size_of(message: object) -> tuple[int, bool]:
    """Return about how many bytes are in a message, and whether only its first parts were counted.

    Text and bytes count as long as they are, all else as 8; what is shared counts each time.
    """
    size_bytes, parts = 0, 0
    todo: list[Any] = [message]
    while todo:
        if parts >= MOST_PARTS:
            return size_bytes, True
        parts += 1
        part = todo.pop()
        if isinstance(part, str | bytes | bytearray | memoryview):
            size_bytes += len(part)
        elif (inner := _parts_of(part)) is not None:
            todo += inner
        else:
            size_bytes += _PLAIN_BYTES
    return size_bytes, False


def _parts_of(whole: object) -> list[Any] | None:
    """Return the first parts of a record or a collection; None if it has none."""
    if isinstance(whole, Mapping):
        return list(chain.from_iterable(islice(whole.items(), MOST_PARTS)))
    if isinstance(whole, list | tuple | set | frozenset | deque):
        return list(islice(whole, MOST_PARTS))
    names = getattr(whole, "__struct_fields__", None) or getattr(
        whole, "__dataclass_fields__", None
    )
    return [getattr(whole, name, None) for name in names] if names else None
