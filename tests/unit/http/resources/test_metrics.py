from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from falcon.testing import TestClient

from jobx.config_sections import HttpSettings
from jobx.errors import DeadlineExceeded, NodeUnreachable
from jobx.http.app import create_app
from jobx.http.door.door import Door
from jobx.http.metering import Meter
from jobx.http.node.reporter import Reporter
from jobx.http.resources import metrics
from tests.support.fake_node import FakeNode


@pytest.fixture
def counting(node: FakeNode, settings: HttpSettings) -> TestClient:
    meter = Meter()
    settings = msgspec.structs.replace(settings, hosts=("falconframework.org",))
    app = create_app(node, settings, reporter=Reporter(node, meter))
    door = Door(app, settings, meter)

    async def front(scope: Any, receive: Any, send: Any) -> None:
        headers = [tuple(header) for header in scope.get("headers", ())]
        listed = {"headers": headers, "server": ("localhost", 80)}
        await door({**scope, **listed}, receive, send)  # as a server gives them

    return TestClient(front)


def test_a_scrape_is_text_with_what_the_node_counted(client: TestClient, node: FakeNode) -> None:
    node.metrics.request_ended("flow", "job", "succeeded", 0.2)
    answer = client.simulate_get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    line = 'jobx_requests_total{job="job",outcome="succeeded",workflow="flow"} 1.0'
    assert line in answer.text.splitlines()


def test_a_scrape_shows_the_requests_of_its_own_web_worker(counting: TestClient) -> None:
    counting.simulate_get("/node")
    counting.simulate_get("/nowhere")
    counting.simulate_delete("/node")
    counting.simulate_options("/node")
    counting.simulate_get("/ui/actors")
    lines = counting.simulate_get("/metrics").text.splitlines()
    for labels in (
        'method="GET",route="/node",status="200"',
        'method="GET",route="none",status="404"',
        'method="DELETE",route="none",status="405"',
        'method="OPTIONS",route="/node",status="204"',
        'method="GET",route="/ui/actors",status="200"',
    ):
        assert f"jobx_http_requests_total{{{labels}}} 1.0" in lines


def test_what_the_door_refuses_is_counted(counting: TestClient) -> None:
    counting.simulate_get("/node", host="evil.example")
    counting.simulate_request("BREW", "/node")
    text = counting.simulate_get("/metrics").text
    assert 'jobx_http_requests_total{method="GET",route="none",status="421"} 1.0' in text
    assert 'jobx_http_requests_total{method="other",route="none",status="501"} 1.0' in text


def test_a_scrape_says_that_the_node_is_gone(client: TestClient, node: FakeNode) -> None:
    node.error = NodeUnreachable("gone")
    assert client.simulate_get("/metrics").status_code == 503


def test_a_scrape_says_that_the_node_does_not_answer(client: TestClient, node: FakeNode) -> None:
    node.error = DeadlineExceeded("the node's answer to node.metrics", 5.0)
    answer = client.simulate_get("/metrics")
    assert answer.status_code == 503
    assert answer.json["detail"].startswith("the node does not answer")


def test_a_scrape_has_a_deadline_of_its_own(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Callable[..., Awaitable[None]]:
        raise TimeoutError

    monkeypatch.setattr(metrics.exposition, "text", never)
    answer = client.simulate_get("/metrics")
    assert answer.status_code == 503
    assert answer.json["detail"].startswith("the metrics were not ready within 5 s")
