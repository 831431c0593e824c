"""Cells and their mail: one run queue, on the loop's thread only."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited, WakeupMessage

from jobx.actors.runtime.address import Address
from jobx.actors.runtime.cell import ActorRecord, Cell
from jobx.actors.runtime.deadletters import FULL, DeadLetters
from jobx.actors.runtime.limits import EngineLimits
from jobx.actors.runtime.placement import Placement
from jobx.actors.runtime.scheduler import Scheduler

#: Messages that a full mailbox still accepts: there are as many as children and timers.
_VITAL: Final = (ActorExitRequest, ChildActorExited, WakeupMessage)


class Mail:
    """Keeps cells, and delivers their mail in turns. See ``LoopSystemBase`` for the arguments.

    Attributes:
        step: Handles the next message of a queue of cells with mail.
        stamp_s: The time after the last message, or when the engine was woken.
    """

    step: Callable[[deque[Cell]], None]

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        node: tuple[str, int],
        placement: Placement,
        limits: EngineLimits,
    ) -> None:
        self.scheduler = scheduler
        self.placement = placement
        self.limits = limits
        self.dead_letters = DeadLetters(self.deliver, scheduler.now)
        self.stamp_s = scheduler.now()
        self._node = node
        self._local_ids = itertools.count(1)
        self._numbers = itertools.count(1)
        self._system_address = Address(*node, 0)
        self._cells: dict[object, Cell] = {}
        # A cell is in here exactly while its mailbox has mail, or had mail when it was stopped.
        self._run_queue: deque[Cell] = deque()
        self._is_awake = False
        self._is_running = False
        self._is_yielding = False

    def deliver(
        self, target: ActorAddress, message: Any, sender: ActorAddress | None = None
    ) -> None:
        """Put a message into the mailbox of ``target``, or into dead letters.

        Args:
            target: An actor or an endpoint.
            message: Passed by reference; it must not change any more.
            sender: Receiver of the answer; None is the system itself, which reads nothing.
        """
        if sender is None:
            sender = self._system_address
        cell = self._cells.get(target.addressDetails)
        if cell is None or (mailbox := cell.mailbox) is None:
            self._send_away(target, message, sender)
            return
        if not mailbox:
            self._run_queue.append(cell)
            if not self._is_awake:
                self._is_awake = True
                self.stamp_s = self.scheduler.now()
                self.scheduler.call_soon(self._run)
        elif len(mailbox) >= self.limits.mailbox and not isinstance(message, _VITAL):
            self.dead_letters.take(target, message, sender, FULL)
            return
        mailbox.append((message, sender, self.stamp_s))

    def _send_away(self, target: ActorAddress, message: Any, sender: ActorAddress) -> None:
        is_ours = target.addressDetails[0] == self._node[0]
        if is_ours or not self.placement.send(target, message, sender):
            self.dead_letters.take(target, message, sender)

    def yield_soon(self) -> None:
        """Give the loop a turn after the current message, because somebody waits for it."""
        self._is_yielding = self._is_running

    def _run(self) -> None:
        try:
            self._run_slice()
        finally:
            self._is_awake = bool(self._run_queue)
            if self._is_awake:
                self.scheduler.call_soon(self._run)

    def _run_slice(self) -> None:
        queue = self._run_queue
        self.stamp_s = self.scheduler.now()
        stop_at = self.stamp_s + self.limits.slice_s
        self._is_running, self._is_yielding = True, False
        try:
            for _ in range(self.limits.slice_messages):
                if not queue or self._is_yielding:
                    return
                self.step(queue)
                if self.stamp_s >= stop_at:
                    return
        finally:
            self._is_running = False

    def new_address(self) -> Address:
        """Return an address that was never used; from any thread."""
        return Address(*self._node, next(self._local_ids))

    def _enter(self, cell: Cell) -> None:
        self._cells[cell.address.addressDetails] = cell
        cell.number = next(self._numbers)
        cell.account.live += 1
        cell.account.created += 1
        parent = cell.parent
        if parent is not None:
            if parent.children is None:
                parent.children = {}
            parent.children[cell] = None

    def tree(self, limit: int | None = None) -> list[ActorRecord]:
        """Describe live actors, in the order of their creation: parents before their children.

        Args:
            limit: Largest number of actors; the work does not grow beyond it.
        """
        now = self.scheduler.now()
        living = (cell for cell in self._cells.values() if not cell.is_endpoint)
        return [cell.record(now) for cell in itertools.islice(living, limit)]

    def find(self, details: object) -> Cell | None:
        """Return the cell of an address, by its details; None if it is gone."""
        return self._cells.get(details)

    def cells(self) -> list[Cell]:
        """Return all cells, endpoints among them, in the order of their creation."""
        return list(self._cells.values())

    def queued(self) -> list[Cell]:
        """Return the cells that have mail, and some that had."""
        return list(self._run_queue)

    def count_children(self, address: ActorAddress) -> int:
        """Return the number of live children of an actor; 0 if it is gone."""
        cell = self._cells.get(address.addressDetails)
        return len(cell.children or ()) if cell is not None else 0

    def _actors(self) -> list[Cell]:
        return [cell for cell in self._cells.values() if not cell.is_endpoint]
