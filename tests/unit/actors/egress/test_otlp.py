from __future__ import annotations

import builtins
import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from jobx.actors.egress.otlp import Collector, Span
from jobx.errors import ConfigError, Unavailable
from tests.support.http_sink import HttpSink, http_sink
from tests.support.services import need

SPAN = Span(0xABC, 0x1, 0xDEF, "job w/j", 10.0, 12.5, {"jobx.attempt": 2}, "ValueError: no")


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    need("otel", "otel", "opentelemetry")
    with http_sink() as sink:
        yield sink


def test_a_collector_gets_spans_as_otlp(sink: HttpSink) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    Collector(sink.url, "n1").send([SPAN])
    (post,) = sink.posts
    body = gzip.decompress(post.body) if post.body[:2] == b"\x1f\x8b" else post.body
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    names = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (names["service.name"], names["service.instance.id"]) == ("jobx", "n1")
    (span,) = resource.scope_spans[0].spans
    assert span.trace_id == (0xABC).to_bytes(16)
    assert (span.span_id, span.parent_span_id) == ((1).to_bytes(8), (0xDEF).to_bytes(8))
    assert (span.name, span.start_time_unix_nano) == ("job w/j", 10_000_000_000)
    assert (span.status.code, span.status.message) == (2, "ValueError: no")
    assert span.attributes[0].value.int_value == 2


def test_a_collector_that_refuses_is_an_error(sink: HttpSink) -> None:
    sink.answer = lambda _: (400, {})
    with pytest.raises(Unavailable, match="took no spans"):
        Collector(sink.url, "n1").send([SPAN])


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def without(name: str, *words: Any, **options: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return whole(name, *words, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"otel.endpoint.*jobx-runtime\[otel\]"):
        Collector("http://localhost:4318/v1/traces", "n1")
