"""Requests that other nodes coordinate: those nodes are asked for what only they know or can do."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from jobx import model, questions, views
from jobx.errors import NotFound, Unavailable
from jobx.questions import Question, wait_of

A = TypeVar("A", bound=views.View)

#: How long another node may take to say how a request stands, and has at least to cancel one.
GET_S: Final = 1.0
#: How long it may take to answer a question about itself, beyond the wait that was asked for.
NODE_S: Final = 5.0
#: How long it may take to cancel one, which it lets end first.
CANCEL_S: Final = 5.0


class AskPeer(Protocol):
    """Asks another node; see ``cluster/asking.py``."""

    def __call__(self, peer: str, question: Question[A], timeout_s: float) -> Awaitable[A]:
        """Return its answer."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Asks the nodes that coordinate requests.

    Attributes:
        node_id: This node.
        ask: Asks another node; None: there are none.
    """

    node_id: str
    ask: AskPeer | None = None

    def may_ask(self, request: model.Request) -> bool:
        """Whether another node coordinates a request, and nodes can be asked."""
        return self.ask is not None and not self.is_here(request)

    def is_here(self, request: model.Request) -> bool:
        """Whether this node coordinates an open request, if any does."""
        return request.coordinator in (None, self.node_id)

    async def get(
        self, asked: Question[views.RequestView], request: model.Request
    ) -> views.RequestView:
        """Return what the coordinating node says of a running request; raises as ``cancel``."""
        return await self._answer(asked, request, GET_S)

    async def explain(
        self, asked: questions.ExplainRequest, request: model.Request
    ) -> views.ExplainView:
        """Return what the coordinating node says of an open request; raises as ``cancel``."""
        return await self._answer(asked, request, GET_S)

    async def cancel(
        self, asked: questions.CancelRequest, request: model.Request, left_s: float
    ) -> views.RequestView:
        """Have the coordinating node cancel a request.

        Raises:
            Unavailable: It does not answer, or does not coordinate the request any more.
            JobxError: Its own error.
        """
        return await self._answer(asked, request, min(max(left_s, GET_S), CANCEL_S))

    async def ask_node(self, node_id: str, asked: Question[A]) -> A:
        """Return the answer of a node of this cluster to a question about itself.

        Raises:
            NotFound: This node is in no cluster.
            Unavailable: The other one does not answer.
            JobxError: Its own error.
        """
        if self.ask is None:
            raise NotFound("node", f"{node_id}: this one, {self.node_id}, is in no cluster")
        return await self.ask(node_id, asked, NODE_S + wait_of(asked))

    async def _answer(self, asked: Question[A], request: model.Request, limit_s: float) -> A:
        """Return the answer of the node that coordinates a request.

        Raises:
            Unavailable: Who coordinates it, and why that node was not asked or did not answer.
        """
        text = self.where(request)
        if self.ask is None or request.coordinator is None or not self.may_ask(request):
            raise Unavailable(text)
        try:
            return await self.ask(request.coordinator, asked, limit_s)
        except Unavailable as error:
            raise Unavailable(f"{text}: {error.reason}", error.retry_after_s) from error

    def where(self, request: model.Request) -> str:
        """Return who coordinates an open request that has no coordinator here."""
        if self.is_here(request):
            return f"request {request.request_id} is being recovered"
        return f"request {request.request_id} is coordinated by node {request.coordinator}"
