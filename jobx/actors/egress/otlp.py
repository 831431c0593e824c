"""Sends spans to a collector of OpenTelemetry, as OTLP over HTTP (the extra ``otel``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from jobx import __version__
from jobx.errors import ConfigError, Unavailable
from jobx.system.extras import install

#: How long a collector may take.
SEND_S: Final = 10.0


class Span(Struct, frozen=True):
    """A span of a trace.

    Attributes:
        trace_id: Its trace.
        span_id: Its id in it.
        parent_id: The span that it is below.
        name: What it is.
        began_at: When it began, as the wall clock shows it …
        ended_at: … and when it ended.
        attributes: What else is known.
        error: Why it failed, if it did.
    """

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    began_at: float
    ended_at: float
    attributes: dict[str, str | int | float]
    error: str | None = None


class Collector:
    """Sends spans to one collector. ``send`` blocks.

    Args:
        endpoint: Its address, with the path.
        node_id: The node, which the collector is told.

    Raises:
        ConfigError: The extra ``otel`` is not installed.
    """

    def __init__(self, endpoint: str, node_id: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
                OTLPSpanExporter,
            )
        except ImportError as error:
            reason = f"needs the extra otel: {install('otel')}"
            raise ConfigError("otel.endpoint", repr(endpoint), reason) from error
        self._node_id = node_id
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_S)

    def send(self, spans: Sequence[Span]) -> None:
        """Send spans.

        Raises:
            Unavailable: The collector did not take them.
        """
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - an extra

        if self._exporter.export(_converted(spans, self._node_id)) != SpanExportResult.SUCCESS:
            raise Unavailable("the collector of otel.endpoint took no spans")


def _converted(spans: Sequence[Span], node_id: str) -> list[Any]:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - an extra
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags  # noqa: PLC0415 - an extra
    from opentelemetry.trace.status import Status, StatusCode  # noqa: PLC0415 - an extra

    names = {"service.name": "jobx", "service.version": __version__, "service.instance.id": node_id}
    resource, scope = Resource(names), InstrumentationScope("jobx", __version__)

    def context(trace_id: int, span_id: int, *, is_remote: bool) -> SpanContext:
        return SpanContext(trace_id, span_id, is_remote, TraceFlags(TraceFlags.SAMPLED))

    return [
        ReadableSpan(
            name=span.name,
            context=context(span.trace_id, span.span_id, is_remote=False),
            parent=context(span.trace_id, span.parent_id, is_remote=True),
            resource=resource,
            attributes=span.attributes,
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.OK),
            start_time=int(span.began_at * 1e9),
            end_time=int(span.ended_at * 1e9),
            instrumentation_scope=scope,
        )
        for span in spans
    ]
