"""The verbs of requests.

Every verb takes its question (``jobx/questions``) and returns its view. Blocking reads of the
store run in threads; everything else runs on the node's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from jobx import model, questions, views
from jobx.actors.gateway.finding import ANSWER_S, Finder, key_of
from jobx.actors.gateway.server import Table
from jobx.actors.gateway.submitting import Submissions
from jobx.actors.gateway.waiters import within
from jobx.actors.inspection import explain, view_builders
from jobx.actors.inspection.node_facts import NodeFacts
from jobx.actors.messages import Cancel, Explain, Explained, RequestKey
from jobx.actors.readers.read_limits import Readers
from jobx.errors import Conflict, JobxError, NotEnded, NotFound, Unavailable
from jobx.kv.requests import request_entity
from jobx.system.disk import free_bytes
from jobx.views import View

#: What readers answer alone.
READ: Final = (
    *(questions.GetTrace, questions.GetInvocation, questions.GetGraph, questions.GetSummary),
    *(questions.GetTree, questions.ListInvocations, questions.GetTimeline),
    *(questions.GetDump, questions.ReadDump),
)

#: How long a cancel waits for the end of the request before it answers with the current state.
CANCEL_WAIT_S: Final = 2.0
#: How long it is tried to have a request cancelled: longer than the takeover of one takes.
CANCEL_PATIENCE_S: Final = 10.0
#: Pause between these tries.
CANCEL_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Verbs:
    """Answers the questions about requests.

    Attributes:
        finder: Finds requests.
        submissions: Starts them.
        readers: Answer what is read from whole logs.
        redeliver: Delivers a result once more.
        facts: Returns what the node knows that explains requests.
    """

    finder: Finder
    submissions: Submissions
    readers: Readers
    redeliver: Callable[[RequestKey], Awaitable[None]]
    facts: Callable[[], NodeFacts]

    def table(self) -> Table:
        """Return what answers each kind of question."""
        return {
            questions.SubmitJob: self.submissions.submit,
            questions.AwaitRequest: self.wait,
            questions.GetRequest: self.get,
            questions.ListRequests: self.list,
            questions.CountRequests: self.count,
            questions.GetResult: self.result,
            questions.ExplainRequest: self.explain,
            questions.ReadProgress: self.progress,
            **dict.fromkeys(READ, self.read),
            questions.CancelRequest: self.cancel,
            questions.DeliverResult: self.deliver,
        }

    async def wait(self, asked: questions.AwaitRequest) -> views.Outcome:
        """Wait until a request has ended, or the time has run out."""
        return await self.finder.wait(key_of(asked), asked.wait_s)

    def table_for_nodes(self) -> Table:
        """Return what answers the questions of other nodes: by this node alone."""
        return {
            questions.GetRequest: self.get_here,
            questions.ExplainRequest: self.explain_here,
            questions.CancelRequest: self.cancel_here,
        }

    async def get(self, asked: questions.OfRequest[views.RequestView]) -> views.RequestView:
        """Return the current state of a request, on whatever node it is."""
        key, finder = key_of(asked), self.finder
        request, is_here = await finder.find(key)
        if not (is_here or request.is_done) and finder.elsewhere.may_ask(request):
            question = questions.GetRequest(workflow=asked.workflow, request_id=asked.request_id)
            try:
                return await finder.elsewhere.get(question, request)
            except JobxError as error:
                reason = error.reason if isinstance(error, Unavailable) else str(error)
                request = await finder.read(request_entity.get, *key)  # it may have ended meanwhile
                return await self._view(request, reason)
        return await self._view(request, None if is_here else finder.where(request))

    async def get_here(self, asked: questions.GetRequest) -> views.RequestView:
        """Return the current state of a request as this node knows it."""
        request, is_here = await self.finder.find(key_of(asked))
        return await self._view(request, None if is_here else self.finder.where(request))

    async def _view(self, request: model.Request, as_stored: str | None) -> views.RequestView:
        """Return the view of a request; see ``RequestView.as_stored``, of one that is open."""
        sent = await self.finder.deliveries(request)
        if request.is_done:
            return view_builders.request_view(request, sent)
        return view_builders.request_view(request, sent, self.finder.left(request), as_stored)

    async def list(self, asked: questions.ListRequests) -> views.RequestPage:
        """Return a page of requests, newest first."""
        return await self.finder.read(view_builders.page, asked, self.finder.node.now_at())

    async def count(self, asked: questions.CountRequests) -> views.RequestCounts:
        """Return how many requests are in each state."""
        return await self.finder.read(view_builders.counts, asked)

    async def result(self, asked: questions.GetResult) -> views.ResultView:
        """Return the place of a request's result."""
        key = key_of(asked)
        request = await self.finder.describe(key)
        return view_builders.result_view(request, self.finder.node.blobs.name(*key))

    async def explain(self, asked: questions.ExplainRequest) -> views.ExplainView:
        """Return why a request is where it is, on whatever node it is."""
        found = await self.explain_here(asked)
        if found.request.state != "running" or not found.request.as_stored:
            return found
        request = await self.finder.read(request_entity.get, *key_of(asked))
        if not self.finder.elsewhere.may_ask(request):
            return found
        try:
            return await self.finder.elsewhere.explain(asked, request)
        except JobxError as error:  # what the request waits for, if it has not ended meanwhile
            if (await self.finder.read(request_entity.get, *key_of(asked))).is_done:
                return await self.explain_here(asked)
            why = error.reason if isinstance(error, Unavailable) else str(error)
            why = why.removeprefix(f"{self.finder.elsewhere.where(request)}: ")
            return replace(found, says=f"{found.says}: {why}")

    async def explain_here(self, asked: questions.ExplainRequest) -> views.ExplainView:
        """Return why a request is where it is, as far as this node knows."""
        key, finder = key_of(asked), self.finder
        ticket, future = finder.waiters.ticket(key)
        finder.tell(Explain(key, finder.node.gateway, ticket))
        told = await within(future, ANSWER_S)
        if isinstance(told, Explained) and told.standing and told.request:
            view = view_builders.request_view(told.request, [])
            return explain.of_open(view, told.standing, await self._facts())
        request = await finder.describe(key)
        why = None if request.is_done else self._why_not_here(request, told)
        by = "jobx cluster status" if why and finder.elsewhere.may_ask(request) else None
        stored = replace(asked, why_open=why, helps=by)
        found = questions.as_view(stored, await self.read(stored))
        says = self._still_at(key, found.says)
        return replace(found, says=says, request=replace(found.request, as_stored=why))

    def _why_not_here(self, request: model.Request, told: object) -> str:
        """Return why an open request has no coordinator here."""
        where = self.finder.where(request)
        if isinstance(told, Explained) and told.why:
            return f"{where}: {told.why}"
        owner = request.coordinator
        if self.finder.elsewhere.may_ask(request) and owner and self.finder.node.is_lost(owner):
            return f"{where}, which is lost; another node adopts it"
        return where

    async def _facts(self) -> NodeFacts:
        """Return what explains an open request besides what its coordinator says."""
        facts = self.facts()
        is_full = facts.outstanding is not None and facts.outstanding.fault is not None
        if not is_full:
            return facts
        free = await self.finder.in_thread(self._free)
        return replace(facts, free=free)

    def _free(self) -> str:
        folder = self.finder.node.settings.data_dir
        return f"{folder} has {free_bytes(folder):,} bytes free"

    def _still_at(self, key: RequestKey, says: str) -> str:
        """Add which executors are still at work of a request that has ended."""
        facts = self.facts()
        abandoned = facts.abandoned(key) if facts.abandoned is not None else []
        for pid, until in abandoned:
            says += f"; executor {pid} is still at its work, and is killed at {facts.said(until)}"
        return says

    async def cancel(self, asked: questions.CancelRequest) -> views.RequestView:
        """End a request without a result, on whatever node it is.

        A request that has ended is not changed. If it has no coordinator now, or its node does not
        answer, it is tried again until one has taken it over, which then ends it; that does no harm
        where the first try was carried out.

        Raises:
            Unavailable: Nobody has answered who could cancel it. It may have been cancelled.
        """
        now, elsewhere = self.finder.node.now, self.finder.elsewhere
        until = now() + CANCEL_PATIENCE_S
        while True:
            request = await self._cancel(asked)
            if isinstance(request, views.RequestView):
                return request
            try:
                return await elsewhere.cancel(asked, request, until - now())
            except Unavailable:
                has_hope = elsewhere.may_ask(request) or elsewhere.is_here(request)
                if not has_hope or now() + CANCEL_AGAIN_S >= until:
                    raise
            await asyncio.sleep(CANCEL_AGAIN_S)

    async def cancel_here(self, asked: questions.CancelRequest) -> views.RequestView:
        """End a request that this node coordinates; raises Unavailable for others."""
        request = await self._cancel(asked)
        if isinstance(request, views.RequestView):
            return request
        raise Unavailable(self.finder.elsewhere.where(request))

    async def _cancel(self, asked: questions.CancelRequest) -> views.RequestView | model.Request:
        """End a request; return it as the store has it if it is open and not here."""
        key, finder = key_of(asked), self.finder
        ended = finder.waiters.ended(key)
        ticket, future = finder.waiters.ticket(key)
        finder.tell(Cancel(key, asked.reason, finder.node.gateway, ticket))
        try:
            request = await finder.told(key, future)
            if request is not None:
                request = await within(ended, CANCEL_WAIT_S) or request
        except Conflict:  # another node has it by now
            request = None
        finally:
            ended.cancel()
        if request is None:
            request = await finder.read(request_entity.get, *key)
            if not request.is_done:
                if (left := finder.left(request)) is not None:
                    raise left
                return request
        return view_builders.request_view(request, await finder.deliveries(request))

    async def deliver(self, asked: questions.DeliverResult) -> views.RequestView:
        """Deliver the result of a request once more, unless a delivery is under way."""
        key = key_of(asked)
        request = await self.finder.describe(key)
        if not request.is_done:
            raise NotEnded(key.request_id)
        await self.redeliver(key)
        return await self.get(asked)

    async def progress(self, asked: questions.ReadProgress) -> views.ProgressView:
        """Return how a request stands, and what came since some of its events."""
        return questions.as_view(asked, await self.read(asked))

    async def read(self, asked: questions.OfRequest[Any]) -> View | Raw:
        """Return what a reader answers; a request without a log may be about to be written."""
        try:
            return await self.readers.ask(asked)
        except NotFound as error:
            if error.args[0] != "request":  # it lacks that invocation
                raise
            await self.finder.describe(key_of(asked))
        return await self.readers.ask(asked)  # it has been written meanwhile
