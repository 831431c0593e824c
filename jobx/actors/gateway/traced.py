"""Sends the spans of requests whose callers follow them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from jobx import model, traceparent
from jobx.actors.egress.otlp import Collector
from jobx.actors.egress.span_export import SpanExport
from jobx.actors.inspection.spans_of_trace import MOST_SPANS, spans
from jobx.actors.messages import RequestKey
from jobx.questions import GetTrace
from jobx.views import TraceView

#: What a request was asked for with, in its context.
TRACEPARENT: Final = "traceparent"

_VIEW: Final = msgspec.json.Decoder(TraceView)


class Traced:
    """Sends the spans of ended requests that came with a sampled traceparent.

    Args:
        collector: Takes the spans.
        ask: Asks this node a question.
        counted: Called for each such request with what became of its spans.
    """

    def __init__(
        self,
        collector: Collector,
        ask: Callable[[GetTrace], Awaitable[Any]],
        counted: Callable[[str], object],
    ) -> None:
        self._collector = collector
        self._ask = ask
        self._export = SpanExport(self._read, self._send, counted)
        self.close = self._export.close

    def ended(self, request: model.Request) -> None:
        """Send the spans of a request that has ended, if its caller wants them."""
        parent = traceparent.read(request.context.get(TRACEPARENT))
        if parent is not None and parent.is_sampled:
            self._export.begin(RequestKey(request.workflow_name, request.request_id))

    async def _read(self, key: RequestKey) -> bytes:
        question = GetTrace(workflow=key.workflow, request_id=key.request_id, limit=MOST_SPANS)
        json: bytes = (await self._ask(question)).json
        return json

    def _send(self, trace: bytes) -> None:
        view = _VIEW.decode(trace)
        parent = traceparent.read(view.request.context.get(TRACEPARENT))
        if parent is not None:
            self._collector.send(spans(view, parent))
