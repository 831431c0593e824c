"""How an open request stands, for those who ask: its entity, and what its invocations wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from jobx import model
from jobx.actors.coordination import unmet
from jobx.actors.coordination.journal import Journal
from jobx.actors.coordination.started import Started, StartedWork
from jobx.actors.ports import Services
from jobx.actors.request.open_groups import groups, open_count
from jobx.actors.request.standing import Backoffs, Group, Standing, Whereabouts
from jobx.actors.request.state import RequestState


class RequestStanding:
    """Looks at one open request; changes nothing.

    Args:
        journal: Its log.
        state: Its state.
        started: The work of its batches.
        backoffs: Its back-offs.
        node: The adapters of the node.
    """

    def __init__(
        self,
        journal: Journal,
        state: RequestState,
        started: StartedWork,
        backoffs: Backoffs,
        node: Services,
    ) -> None:
        self._journal = journal
        self._state = state
        self._started = started
        self._backoffs = backoffs
        self._node = node

    def snapshot(self) -> model.Request:
        """Return its entity as it is now, with what its work waits for."""
        waits_for = unmet.words(self._node, self._journal.key.workflow, self.required())
        return replace(self._journal.snapshot(), waits_for=waits_for)

    def required(self) -> list[tuple[str, ...]]:
        """Return what the nodes of its work must offer."""
        return [started.requires for started in self._started.values()]

    def groups(self) -> list[Group]:
        """Return what its open invocations wait for."""
        started = self._started
        places = self._node.executors.places({one.batch for one in started.values()})
        at_work = [
            (one.work, places.get((one.batch, ticket)) or self._away(one))
            for ticket, one in started.items()
        ]
        return groups(self._state, at_work, self._backoffs)

    def standing(self, phase: Literal["proving", "open", "closed"]) -> Standing:
        """Return all that explains it, in a phase of its coordinator."""
        busy = self._node.executors.busy()
        own = busy.pop(self._journal.key, None)
        return Standing(
            self.groups(),
            open_count(self._state),
            phase,
            self._journal.uncommitted,
            not self._state.is_running,
            tuple(sorted(busy.values(), key=lambda one: -one.count)),
            own.count if own is not None else 0,
            self._journal.is_accepted,
            self._journal.adopted,
            self._journal.adopted_from,
        )

    def _away(self, started: Started) -> Whereabouts:
        """Return where work is that no executor of this node has."""
        node_id = started.batch.addressDetails[0]
        if node_id != self._node.node_id:
            return Whereabouts("peer", started.since, node_id)
        lacks = sorted({*started.requires} - {*self._node.settings.capabilities})
        if lacks:
            return Whereabouts(
                "capability", started.since, lacks=self._lacks(started.requires, lacks)
            )
        return Whereabouts("queued", started.since)

    def _lacks(self, requires: tuple[str, ...], lacks: Sequence[str]) -> str:
        """Return who offers what work requires, in words."""
        if unmet.words(self._node, self._journal.key.workflow, [requires]):
            return f"no node offers {' and '.join(lacks)}"
        return f"only other nodes offer {' and '.join(lacks)}"
