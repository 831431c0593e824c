"""Wakeups of all actors of a system, on one timer of its scheduler."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from thespian.actors import WakeupMessage

from jobx.actors.runtime.cell import Cell
from jobx.actors.runtime.timers import Agenda, AgendaTimer, seconds

if TYPE_CHECKING:
    from jobx.actors.runtime.scheduler import Scheduler, Timer

#: The loop's timer is never further away.
_LONGEST_S: Final = 86_400.0

Wakeup: TypeAlias = AgendaTimer[tuple[Cell, WakeupMessage]]


class Wakeups:
    """Delivers WakeupMessages in order of due time, then of request.

    Loops promise no order of timers of the same instant. So the order is kept here, and the loop
    has one timer, for the first wakeup.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._agenda: Agenda[tuple[Cell, WakeupMessage]] = Agenda()
        self._alarm: Timer | None = None
        self._alarm_s = 0.0

    def add(self, cell: Cell, period: float | timedelta, payload: object) -> None:
        """Wake ``cell`` in ``period``."""
        due_s = self._scheduler.now() + seconds(period)
        if due_s == math.inf:
            return  # it is never due
        wakeup = self._agenda.add(due_s, (cell, WakeupMessage(period, payload)))
        if cell.wakeups is None:
            cell.wakeups = set()
        cell.wakeups.add(wakeup)
        self._set_alarm(due_s)

    def cancel(self, cell: Cell) -> None:
        """Forget all wakeups of ``cell``."""
        for wakeup in cell.wakeups or ():
            wakeup.cancel()
        cell.wakeups = None

    def _set_alarm(self, due_s: float) -> None:
        if self._alarm is not None:
            if self._alarm_s <= due_s:
                return
            self._alarm.cancel()
        self._alarm_s = due_s
        # Loops limit the seconds of a timer, and it is checked again when the timer fires.
        delay_s = min(due_s - self._scheduler.now(), _LONGEST_S)
        self._alarm = self._scheduler.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._scheduler.now()
        while due := self._agenda.take_due(now):
            wakeup, (cell, message) = due
            if cell.wakeups is not None:
                cell.wakeups.discard(wakeup)
            cell.base.deliver(cell.address, message, cell.address)
        # A loop may fire a little early, when nothing is due yet.
        next_s = self._agenda.next_due()
        if next_s is not None:
            self._set_alarm(next_s)
