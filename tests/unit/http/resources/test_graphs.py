from __future__ import annotations

import pytest
from falcon.testing import TestClient

from jobx.actors.inspection import graph
from jobx.http.resources import graphs
from tests.support.fake_node import FakeNode
from tests.unit.http.resources.test_requests import submit

needs_dot = pytest.mark.usefixtures("dot")


@pytest.fixture
def path(client: TestClient) -> str:
    return f"/request/texts/{submit(client, 'count', text='a')}"


@needs_dot
@pytest.mark.parametrize(
    ("accept", "media_type", "start"),
    [
        (None, "image/svg+xml", b"<?xml"),
        ("*/*", "image/svg+xml", b"<?xml"),
        ("image/png", "image/png", b"\x89PNG"),
        ("text/vnd.graphviz", "text/vnd.graphviz", b"digraph"),
    ],
)
def test_graph_comes_as_the_client_takes_it(
    client: TestClient, path: str, accept: str | None, media_type: str, start: bytes
) -> None:
    answer = client.simulate_get(f"{path}/graph", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
    assert answer.content.startswith(start)


@needs_dot
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("image/svg+xml", "image/svg+xml"),
        ("image/png, application/json;q=0.5", "image/png"),
        ("image/*", "image/svg+xml"),
        ("image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8", "image/svg+xml"),
        ("text/html,image/avif,*/*;q=0.8", "application/json"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
    ],
)
def test_request_is_a_picture_where_the_client_likes_that_better(
    client: TestClient, path: str, accept: str, media_type: str
) -> None:
    answer = client.simulate_get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)


@needs_dot
def test_picture_can_do_nothing_where_it_is_opened(client: TestClient, path: str) -> None:
    found = client.simulate_get(f"{path}/graph").headers
    assert "default-src 'none'" in found["Content-Security-Policy"]
    assert (found["X-Content-Type-Options"], found["Vary"]) == (
        "nosniff",
        "Accept, Accept-Encoding",
    )


@pytest.mark.parametrize(("accept", "form"), [("image/png", "png"), ("text/vnd.graphviz", "dot")])
def test_node_is_asked_for_no_more_than_can_be_drawn(
    client: TestClient, node: FakeNode, path: str, accept: str, form: graph.GraphFormat
) -> None:
    client.simulate_get(f"{path}/graph", headers={"Accept": accept})
    assert node.last("request.graph").limit == graph.LIMITS[form]


def test_graph_of_another_kind_is_not_acceptable(client: TestClient, path: str) -> None:
    answer = client.simulate_get(f"{path}/graph", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json["code"]) == (406, "not-acceptable")


def test_picture_without_graphviz_is_not_acceptable(
    client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = client.simulate_get(f"{path}/graph")
    assert (answer.status_code, answer.json["code"]) == (406, "not-acceptable")
    assert "Graphviz" in answer.json["detail"]


def test_only_so_many_are_drawn_at_once(
    client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs.asyncio.Semaphore, "locked", lambda _: True)
    answer = client.simulate_get(f"{path}/graph")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_graph_of_an_unknown_request_is_not_found(client: TestClient) -> None:
    assert client.simulate_get("/request/texts/nope/graph").status_code == 404
