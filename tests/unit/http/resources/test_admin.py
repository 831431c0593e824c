from __future__ import annotations

import gzip
import json
import re
from typing import Any

import falcon.inspect
import pytest
from falcon.testing import TestClient

from jobx.config_sections import HttpSettings
from jobx.errors import NodeUnreachable
from jobx.http.openapi.document import document
from jobx.http.pages.addresses import PAGES
from tests.support.fake_node import FakeNode


@pytest.mark.parametrize("path", ["/", "/health/live", "/openapi.json"])
def test_web_worker_answers_without_a_node(client: TestClient, node: FakeNode, path: str) -> None:
    node.error = NodeUnreachable("gone")
    assert client.simulate_get(path).status_code == 200


def test_ready_when_the_node_answers(client: TestClient) -> None:
    assert client.simulate_get("/health/ready").json == {"status": "ready"}


def test_ready_with_a_notice_for_its_operator(client: TestClient, node: FakeNode) -> None:
    node.notice = "look"
    answer = client.simulate_get("/health/ready")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "notice": "look"})


def test_not_ready_when_the_node_is_gone(client: TestClient, node: FakeNode) -> None:
    node.error = NodeUnreachable("gone")
    answer = client.simulate_get("/health/ready")
    assert (answer.status_code, answer.json["detail"]) == (503, "gone; try again in 1 s")


def test_not_ready_while_the_node_drains(client: TestClient, node: FakeNode) -> None:
    node.state = "draining"
    assert client.simulate_get("/health/ready").status_code == 503


def test_node_and_actors_are_shown(client: TestClient) -> None:
    assert client.simulate_get("/node").json["node_id"] == "fake"
    assert client.simulate_get("/actors").json["actors"][0]["name"] == "Supervisor"


def test_unknown_address_is_a_problem(client: TestClient) -> None:
    answer = client.simulate_get("/nowhere")
    assert (answer.status_code, answer.json["code"]) == (404, "no-route")


def test_wrong_method_is_a_problem_that_names_the_right_ones(client: TestClient) -> None:
    answer = client.simulate_put("/job/texts/count")
    assert (answer.status_code, answer.json["code"]) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "OPTIONS, POST"


def test_options_names_the_methods(client: TestClient) -> None:
    answer = client.simulate_options("/job/texts/count")
    assert (answer.status_code, answer.headers["Allow"]) == (204, "POST, OPTIONS")


def test_a_client_that_has_an_answer_is_told_so(client: TestClient) -> None:
    tag = client.simulate_get("/openapi.json").headers["ETag"]
    again = client.simulate_get("/openapi.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        *(("gzip", True), ("br, gzip;q=0.5", True), ("x-gzip", True)),
        *(("gzip;q=0", False), ("br", False), ("identity", False)),
    ],
)
def test_an_answer_is_compressed_for_who_takes_that(
    client: TestClient, accepted: str, packed: bool
) -> None:
    plain = client.simulate_get("/openapi.json").content
    answer = client.simulate_get("/openapi.json", headers={"Accept-Encoding": accepted})
    body = gzip.decompress(answer.content) if packed else answer.content
    assert (answer.headers.get("Content-Encoding") == "gzip", body) == (packed, plain)
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_a_stream_is_compressed_as_well(client: TestClient) -> None:
    headers = {"Accept-Encoding": "gzip"}
    body = {"arguments": {"count": 9000}}
    answer = client.simulate_post("/job/texts/pairs", json=body, headers=headers)
    assert len(json.loads(gzip.decompress(answer.content))["result"]["pairs"]) == 9000


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/jobs/w/j", "/job/{workflow}/{job}"),
        ("/workflow/w/jobs", "/workflow/{workflow}/job"),
        ("/health/alive", "/health/live"),
        ("/open_api.json", "/openapi.json"),
        ("/request/w/x/results", "/request/{workflow}/{request_id}/result"),
    ],
)
def test_an_address_that_is_none_is_told_what_is_near(
    client: TestClient, path: str, near: str
) -> None:
    assert f"is it {near}?" in client.simulate_get(path).json["detail"]


@pytest.mark.parametrize("path", ["/", "/node", "/health/live", "/request/texts", "/workflow"])
def test_unknown_query_parameter_is_refused(client: TestClient, path: str) -> None:
    assert client.simulate_get(path, params={"colour": "red"}).status_code == 400


def test_description_has_every_route_but_pages(client: TestClient) -> None:
    served = {
        (route.path, method.method.lower())
        for route in falcon.inspect.inspect_routes(client.app)
        for method in route.methods
        if not method.internal and method.method not in ("HEAD", "OPTIONS")
    } - {(page.path, page.method) for page in PAGES}
    paths = client.simulate_get("/openapi.json").json["paths"]
    assert {(path, method) for path, item in paths.items() for method in item} == served


def operations() -> list[tuple[str, dict[str, Any]]]:
    paths = document(HttpSettings())["paths"]
    return [(path, operation) for path, item in paths.items() for operation in item.values()]


def test_every_reference_of_the_description_leads_somewhere() -> None:
    described = document(HttpSettings())
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert names <= set(described["components"]["schemas"])


def test_operations_have_ids_of_their_own() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("path", "operation"), operations())
def test_operation_describes_its_path_and_answers(path: str, operation: dict[str, Any]) -> None:
    named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", path))
    assert all(response["description"] for response in operation["responses"].values())
    assert "400" in operation["responses"]


def test_location_of_an_answer_is_that_of_what_was_created_or_started() -> None:
    answers = [
        (status, answer["headers"]["Location"]["description"])
        for path in document(HttpSettings())["paths"].values()
        for one in path.values()
        for status, answer in one["responses"].items()
        if "Location" in answer.get("headers", {})
    ]
    assert {status for status, _ in answers} == {"201", "202"}
    assert {words for _, words in answers} == {"The location of what was created or started."}
