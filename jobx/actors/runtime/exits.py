"""How actors end: by themselves, by a failure, with their parents, or on another node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited, PoisonMessage

from jobx.actors.runtime.accounts import REASON_CHARS
from jobx.actors.runtime.cell import Cell
from jobx.actors.runtime.deadletters import FAILED, UNREAD
from jobx.actors.runtime.failure import ChildFailed, failure_of
from jobx.actors.runtime.limits import EngineLimits
from jobx.actors.runtime.mail import Mail
from jobx.actors.runtime.placement import Placement
from jobx.actors.runtime.scheduler import Scheduler
from jobx.actors.runtime.wakeups import Wakeups


class Exits(Mail):
    """Ends actors: children first, and each parent hears of it."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        node: tuple[str, int],
        placement: Placement,
        limits: EngineLimits,
        root_exited: Callable[[ChildActorExited], object],
    ) -> None:
        super().__init__(scheduler, node=node, placement=placement, limits=limits)
        self.wakeups = Wakeups(scheduler)
        self._names: dict[str, Cell] = {}
        self._is_closed = False
        self._root_exited = root_exited
        self._exited = self._failed = 0

    def exited_elsewhere(self, notice: ChildActorExited) -> None:
        """Tell the parent of an actor of another node that it is gone."""
        cell = self._cells.get(notice.childAddress.addressDetails)
        if cell is not None and cell.is_remote:
            cell.notice = notice
            self._leave(cell)

    def _fail(self, cell: Cell, message: Any, sender: ActorAddress, error: BaseException) -> None:
        failure = self._failure(cell, error)
        if not cell.is_endpoint:
            self._stop(cell, failure)
        sender_cell = self._cells.get(sender.addressDetails)
        is_alive = sender_cell is not None and sender_cell.mailbox is not None
        if is_alive and not isinstance(message, PoisonMessage):
            self.deliver(sender, PoisonMessage(message, failure.details), cell.address)

    def _failure(self, cell: Cell, error: BaseException) -> ChildFailed:
        self._failed += 1
        failure = failure_of(cell.address, cell.account.class_name, error)
        cell.account.failed += 1
        cell.account.failure = failure.reason[:REASON_CHARS]
        return failure

    def _stop(self, cell: Cell, notice: ChildActorExited | None, is_recursive: bool = True) -> None:
        """Accept no more mail, wait for the exit of the children, then leave."""
        cell.notice = notice
        self._close_mailbox(cell)
        for child in list(cell.children or ()):
            if is_recursive:
                self.deliver(child.address, ActorExitRequest())
            else:
                child.parent = None
        if not is_recursive:
            cell.children = None
        if not cell.children:
            self._leave(cell)

    def _close_mailbox(self, cell: Cell) -> None:
        unread, cell.mailbox = cell.mailbox, None
        if cell.wakeups:
            self.wakeups.cancel(cell)
        if self.dead_letters.handler is not None:
            self.dead_letters.handle(cell.address, False)
        if cell.globalName is not None:
            self._names.pop(cell.globalName, None)
        reason = FAILED if isinstance(cell.notice, ChildFailed) else UNREAD
        for message, sender, _ in unread or ():
            self.dead_letters.take(cell.address, message, sender, reason)

    def _leave(self, cell: Cell) -> None:
        """Forget a cell without children, and each ancestor that waited for it."""
        while True:
            del self._cells[cell.address.addressDetails]
            cell.account.live -= 1
            cell.actor = None
            self._exited += 1
            parent = cell.parent
            if parent is None or parent.children is None:
                self._tell_root(cell)
                return
            del parent.children[cell]
            if parent.mailbox is not None or parent.is_remote:
                if cell.notice is not None and self._is_heard(cell, parent):
                    self.deliver(parent.address, cell.notice)
                return
            if parent.children:
                return
            cell = parent

    @staticmethod
    def _is_heard(cell: Cell, parent: Cell) -> bool:
        """Whether the parent gets the notice of a cell that exits."""
        return parent.is_remote or parent.hears_exits or isinstance(cell.notice, ChildFailed)

    def _tell_root(self, cell: Cell) -> None:
        """Report the exit of an actor of the system, unless the system itself is stopping."""
        if cell.notice is not None and cell.is_root and not self._is_closed:
            self._root_exited(cell.notice)

    def drop(self, address: ActorAddress) -> None:
        """Forget an endpoint, or an actor that did not exit in time; it does not run again."""
        cell = self._cells.pop(address.addressDetails, None)
        if cell is not None:
            cell.account.live -= 1
            self._close_mailbox(cell)
