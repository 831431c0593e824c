"""The life of a node: its start, the end of the previous life, and the requests left open."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from jobx.actors import recovery
from jobx.actors.clock import ServiceClock, boot_id
from jobx.actors.log_reader import has_progressed
from jobx.actors.messages import Waiting
from jobx.actors.notification import Notification
from jobx.kv.requests import indexing, lives
from jobx.kv.store import Store

#: A file of this name is in the data folder while a node runs on it.
RUNNING: Final = "running"

#: Registrations that a life may have; they are numbered from its incarnation on.
REGISTRATIONS: Final = 1 << 20


class Lifetime:
    """Reads the traces of a node's last life, and notes this one. All but ``clock`` blocks.

    Args:
        node_id: The node.
        store: The store that records lives.
        data_dir: The folder that shows whether the last life ended well.
        capabilities: What the node offers.

    Attributes:
        incarnation: The number of this life, which grows with each.
        clock: The service clock, which continues from life to life.
        was_lost: Whether the last life ended without a stop.
    """

    def __init__(
        self, node_id: str, store: Store, data_dir: Path, capabilities: tuple[str, ...] = ()
    ) -> None:
        self._node_id = node_id
        self._store = store
        self._running = data_dir / RUNNING
        self.was_lost = self._running.exists()
        last = lives.last(store, node_id)
        self._last_incarnation = last.incarnation
        self.clock = ServiceClock(last, boot_id())
        self.incarnation = max(last.incarnation + REGISTRATIONS, time.time_ns())
        is_older = bool(last.incarnation) and last.form < lives.FORM
        indexing.begin(store, is_older=is_older)
        life = lives.Life(
            incarnation=self.incarnation,
            capabilities=capabilities,
            form=lives.FORM,
            stopped=last.incarnation if last.is_over else 0,
            died=last.deaths(),
        )
        self._noted = self.clock.note(life)
        lives.begin(store, node_id, self._noted)
        self._is_noted = True

    def note_clock(self) -> None:
        """Store the time of the clock, if it is far from the stored one."""
        life = self.clock.note(self._noted)
        if life is not self._noted or not self._is_noted:
            lives.begin(self._store, self._node_id, life)
            self._noted, self._is_noted = life, True

    def note_again(self) -> None:
        """Have ``note_clock`` store this life again: others took the node for gone."""
        self._is_noted = False

    def take_up(self, limit: int) -> list[Waiting]:
        """Return the open requests, each charged with the death of the last life.

        Args:
            limit: Deaths at which a request is set aside.
        """
        opened = lives.opened(self._store, self._node_id)
        waiting = recovery.charge(
            opened,
            self._last_incarnation,
            was_lost=self.was_lost,
            limit=limit,
            progressed=lambda one: has_progressed(self._store, one),
        )
        lives.mark(self._store, recovery.charges(opened, waiting))
        return waiting

    def runs(self) -> Notification | None:
        """Note that the node runs; return the notification about the last life."""
        found = _node_back(self._node_id, self._running) if self.was_lost else None
        self._running.touch(mode=0o600)
        return found

    def ended_well(self) -> None:
        """Note that the node was stopped, not killed."""
        self._running.unlink(missing_ok=True)

    def tell_others(self) -> None:
        """Note it in the store, too, for nodes that adopt what is open."""
        self._noted = replace(self._noted, is_over=True)
        lives.begin(self._store, self._node_id, self._noted)


def _node_back(node_id: str, running: Path) -> Notification:
    started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(running.stat().st_mtime))
    return Notification(
        kind="node.back",
        level="warning",
        subject=f"node {node_id} is back; the one started at {started} was lost",
        cause=node_id,
        text="It was killed, or its machine went down. What was open is taken up.",
    )
