"""The verbs of the console: what the actors of a node do, and their stop and restart.

What looks at all actors gives the loop a turn after every ``CHUNK`` of them.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from msgspec.structs import replace
from thespian.actors import ActorAddress

from jobx import questions, views
from jobx.actors.gateway.elsewhere import Elsewhere
from jobx.actors.gateway.server import Table
from jobx.actors.gateway.waiters import Waiters, within
from jobx.actors.inspection import actor_views
from jobx.actors.messages import EndChild
from jobx.actors.ports import Services
from jobx.actors.runtime.actor_filter import ActorFilter, details_of, found, parents_of
from jobx.actors.runtime.cell import Cell
from jobx.actors.runtime.mail_trace import MailTraces
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.stalls import Stalled
from jobx.errors import DeadlineExceeded, InUse, InvalidInput, JobxError

A = TypeVar("A", bound=views.View)

#: Actors that are looked at before the loop gets a turn: some 2 ms.
CHUNK: Final = 2_000
#: Actors that are described before it gets one: the same.
SHOWN: Final = 250
#: Unread messages of one actor whose types are counted.
MOST_MAIL: Final = 1_000
#: Children that are shown with their parent.
MOST_CHILDREN: Final = 100
#: How long a parent may take to say what becomes of its child.
TOLD_S: Final = 5.0

_NO_REASON: Final = "no reason was given"


@dataclass(frozen=True, slots=True)
class ConsoleVerbs:
    """Shows actors, and has their parents end them.

    Attributes:
        node: The node.
        base: Its actors.
        traces: The traces of their messages.
        waiters: Hears what parents answer.
        elsewhere: Asks other nodes.
        classes: Names of classes that may have an actor some time.
        may_end: Those whose actors the node can do without.
        stalled: Returns the stalls of the loop by place.
    """

    node: Services
    base: LoopSystemBase
    traces: MailTraces
    waiters: Waiters
    elsewhere: Elsewhere
    classes: Collection[str]
    may_end: Collection[str]
    stalled: Callable[[], list[Stalled]]

    def table(self) -> Table:
        """Return what answers each kind of question, of this node or another one."""
        return {
            kind: functools.partial(self._here_or_there, verb)
            for kind, verb in self.table_for_nodes().items()
        }

    def table_for_nodes(self) -> Table:
        """Return what answers the questions of other nodes."""
        return {
            questions.GetActorSummary: self.summary,
            questions.ListActors: self.list_page,
            questions.TopActors: self.top,
            questions.GetActor: self.show,
            questions.TraceActors: self.trace,
            questions.ListDeadLetters: self.dead_letters,
            questions.StopActor: self.stop,
            questions.RestartActor: self.restart,
        }

    async def _here_or_there(self, verb: Callable[[Any], Any], asked: questions.OfNode[A]) -> A:
        if asked.node in (None, self.node.node_id):
            answer: A = await verb(asked)
            return answer
        return await self.elsewhere.ask_node(asked.node, replace(asked, node=None))

    async def summary(self, _: questions.GetActorSummary) -> views.ActorSummary:
        """Return the counts of all classes; it looks at those actors that have mail."""
        counters, budget, accounts = self.base.counters(), self.node.budget, self.base.accounts
        queued, stalled, wall = self.base.queued(), self.stalled(), self._wall()
        return views.ActorSummary(
            node_id=self.node.node_id,
            live=counters.created - counters.exited,
            queued=len(queued),
            created=counters.created,
            failed=counters.failed,
            handled=counters.delivered,
            dead_letters=counters.dead_letters,
            held_bytes=budget.held_bytes,
            limit_bytes=budget.limit_bytes,
            slow=sum(account.slow for account in accounts.all()),
            stalls=sum(one.count for one in stalled),
            traces=len(self.traces),
            classes=actor_views.class_views(accounts.all(), queued, self._now()),
            slow_handlers=actor_views.slow_views(accounts.slow, wall),
            stalled=actor_views.stall_views(stalled, wall),
        )

    async def list_page(self, asked: questions.ListActors) -> views.ActorPage:
        """Return a page of actors, in the order of their creation."""
        wanted, life = self._filter(asked), (self.node.node_id, self.node.incarnation)
        cells = self.base.cells()
        at = wanted.start(life, cells, asked.after)
        kept: list[Cell] = []
        while at < len(cells) and len(kept) <= asked.limit:
            kept += wanted.among(cells[at : at + CHUNK])
            at += CHUNK
            await asyncio.sleep(0)
        page, has_more = kept[: asked.limit], len(kept) > asked.limit
        after = wanted.cursor(life, page[-1]) if has_more else None
        return await self._page(page, after)

    async def top(self, asked: questions.TopActors) -> views.ActorPage:
        """Return the actors with most of something, without those that have none of it."""
        wanted, measure = self._filter(asked), self._measure(asked.by)
        has_mail = asked.by in ("mailbox", "oldest")
        cells = self.base.queued() if has_mail else self.base.cells()
        best: list[Cell] = []
        for at in range(0, len(cells), CHUNK):
            best += wanted.among(cells[at : at + CHUNK])
            best = heapq.nlargest(asked.limit, best, measure)
            await asyncio.sleep(0)
        return await self._page([cell for cell in best if measure(cell) > 0], None)

    async def show(self, asked: questions.GetActor) -> views.ActorDetail:
        """Return one actor with its parents, its first children and the types of its mail."""
        cell, now = self._find(asked.address), self._now()
        children = [child.record(now) for child in islice(cell.children or (), MOST_CHILDREN)]
        mail = Counter(
            type(message).__name__ for message, _, _ in islice(cell.mailbox or (), MOST_MAIL)
        )
        return views.ActorDetail(
            node_id=self.node.node_id,
            actor=actor_views.actor_view(
                cell.record(now), list(map(actor_views.actor_view, children))
            ),
            parents=[actor_views.actor_view(one.record(now)) for one in parents_of(cell)],
            mail=[views.MailCount(message=name, count=n) for name, n in mail.most_common()],
            unread=len(cell.mailbox or ()) - mail.total(),
        )

    async def trace(self, asked: questions.TraceActors) -> views.ActorTrace:
        """Return what actors handle while the caller waits."""
        wanted, began_s = self._filter(asked), self._now()
        only = self._find(asked.address) if asked.address is not None else None
        full: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end() -> None:
            if not full.done():
                full.set_result(None)

        trace = self.traces.begin(wanted, only, asked.limit, end)
        try:
            await within(full, asked.wait_s)
        finally:
            self.traces.end(trace)
        return views.ActorTrace(
            node_id=self.node.node_id,
            messages=actor_views.traced_views(trace.messages, self._wall()),
            took_s=self._now() - began_s,
            is_full=trace.is_full,
        )

    async def dead_letters(self, _: questions.ListDeadLetters) -> views.DeadLetterPage:
        """Return the last groups of dead letters."""
        letters = self.base.dead_letters
        return views.DeadLetterPage(
            node_id=self.node.node_id,
            count=letters.count,
            letters=actor_views.letter_views(letters.last(), self._class_of, self._wall()),
        )

    async def stop(self, asked: questions.StopActor) -> views.ActorTold:
        """Stop an actor that the node can do without; raises as ``_end``."""
        return await self._end(asked.address, asked.reason, is_again=False)

    async def restart(self, asked: questions.RestartActor) -> views.ActorTold:
        """Start an actor again; raises as ``_end``."""
        return await self._end(asked.address, asked.reason, is_again=True)

    async def _end(self, address: str, reason: str, *, is_again: bool) -> views.ActorTold:
        """Have a parent end its child.

        Raises:
            NotFound: The actor is gone.
            InUse: The node needs it, or its parent is on another node.
            JobxError: Why its parent does not.
        """
        cell = self._find(address)
        name, parent = cell.name, cell.parent
        if cell.account.class_name not in self.may_end or parent is None:
            raise InUse("actor", f"{name} ({address})", "the node, which cannot go on without it")
        if parent.is_remote:
            node_id = parent.address.addressDetails[0]
            raise InUse(
                "actor", f"{name} ({address})", f"node {node_id}: ask that one, with --node"
            )
        done = "restarted" if is_again else "stopped"
        text = f"{done} by an operator: {reason or _NO_REASON}"
        ticket, future = self.waiters.told()
        end = EndChild(cell.address, is_again, text, self.node.gateway, ticket)
        self.base.deliver(parent.address, end)
        says = await within(future, TOLD_S)
        if isinstance(says, JobxError):
            raise says
        if says is None:
            raise DeadlineExceeded(f"the parent's answer about actor {name}", TOLD_S)
        return views.ActorTold(
            node_id=self.node.node_id, address=str(cell.address), name=name, says=str(says)
        )

    def _filter(self, asked: questions.OfActors[Any]) -> ActorFilter:
        """Return the filter of a question.

        Raises:
            InvalidInput: It names a class that there is not.
            NotFound: The actor that it names is gone.
        """
        known = {*self.classes, *(account.class_name for account in self.base.accounts.all())}
        if asked.class_name is not None and asked.class_name not in known:
            reason = f"is no class of actors; there are {', '.join(sorted(known))}"
            raise InvalidInput("class", repr(asked.class_name), reason)
        below = self._find(asked.below, "below") if asked.below is not None else None
        return ActorFilter(asked.class_name, asked.name, asked.state, below)

    def _find(self, address: str, field: str = "address") -> Cell:
        return found(self.base.find(details_of(address, field)), address)

    def _measure(self, by: questions.ActorMeasure) -> Callable[[Cell], float]:
        now = self._now()
        measures: dict[str, Callable[[Cell], float]] = {
            "time": lambda cell: cell.time_s,
            "handled": lambda cell: cell.handled,
            "mailbox": lambda cell: len(cell.mailbox or ()),
            "oldest": lambda cell: cell.oldest_s(now) or 0.0,
            "held": lambda cell: cell.held_bytes or 0,
        }
        return measures[by]

    async def _page(self, cells: list[Cell], after: str | None) -> views.ActorPage:
        shown: list[views.ActorView] = []
        for at in range(0, len(cells), SHOWN):
            now = self._now()
            living = [cell for cell in cells[at : at + SHOWN] if cell.actor is not None]
            shown += [actor_views.actor_view(cell.record(now)) for cell in living]
            await asyncio.sleep(0)
        return views.ActorPage(node_id=self.node.node_id, actors=shown, next=after)

    def _class_of(self, address: ActorAddress) -> str | None:
        cell = self.base.find(address.addressDetails)
        return cell.account.class_name if cell is not None else None

    def _now(self) -> float:
        return self.base.scheduler.now()

    def _wall(self) -> actor_views.Wall:
        ahead_s = self.node.now_at() - self._now()
        return lambda instant: instant + ahead_s
