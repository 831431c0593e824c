from __future__ import annotations

import pytest
from falcon.testing import TestClient

from jobx import values
from tests.support.fake_node import FakeNode

JOB = {"job_name": "count", "description": "counts", "initial_step_name": "first"}
FIELDS = {
    "job": JOB,
    "step": {
        "step_name": "first",
        "description": "",
        "map_handler_name": "m",
        "reduce_handler_name": "r",
    },
    "handler": {
        "handler_name": "m",
        "description": "",
        "handler_type": "mapper",
        "source_code": "yield MrConfigureToReturn()",
    },
}


@pytest.fixture(autouse=True)
def workflow(client: TestClient) -> None:
    fields = {"workflow_name": "texts", "description": "about texts"}
    assert client.simulate_post("/workflow", json=fields).status_code == 201


@pytest.mark.parametrize("kind", FIELDS)
def test_created_entity_is_found_at_its_location(client: TestClient, kind: str) -> None:
    created = client.simulate_post(f"/workflow/texts/{kind}", json=FIELDS[kind])
    assert created.status_code == 201
    found = client.simulate_get(created.headers["Location"]).json
    assert found == created.json
    assert found.items() >= {**FIELDS[kind], "workflow_name": "texts"}.items()


def test_read_entity_can_be_put_back(client: TestClient) -> None:
    client.simulate_put("/workflow/texts/job/count", json=JOB)
    read = client.simulate_get("/workflow/texts/job/count").json
    assert client.simulate_put("/workflow/texts/job/count", json=read).json == read


def test_workflow_can_be_replaced_and_deleted(client: TestClient) -> None:
    put = client.simulate_put("/workflow/texts", json={"description": "new"})
    assert (put.status_code, put.json["description"]) == (200, "new")
    assert client.simulate_delete("/workflow/texts").status_code == 204
    assert client.simulate_get("/workflow/texts").status_code == 404


def test_second_create_is_a_conflict(client: TestClient) -> None:
    codes = [client.simulate_post("/workflow/texts/job", json=JOB).status_code for _ in range(2)]
    assert codes == [201, 409]


def test_delete_of_what_is_in_use_is_a_conflict(client: TestClient) -> None:
    client.simulate_post("/workflow/texts/job", json=JOB)
    answer = client.simulate_delete("/workflow/texts")
    assert (answer.status_code, answer.json["code"]) == (409, "in-use")


def test_list_is_paged_by_name(client: TestClient) -> None:
    for name in ("b", "a", "c"):
        client.simulate_put(f"/workflow/texts/job/{name}", json={**JOB, "job_name": name})
    first = client.simulate_get("/workflow/texts/job", params={"limit": "2"}).json
    rest = client.simulate_get("/workflow/texts/job", params={"after": first["next"]}).json
    names = [one["job_name"] for one in first["entities"] + rest["entities"]]
    assert (names, rest["next"]) == (["a", "b", "c"], None)


@pytest.mark.parametrize(
    ("method", "path", "fields", "named"),
    [
        ("POST", "/workflow/texts/job", {**JOB, "workflow_name": "other"}, "workflow_name"),
        ("PUT", "/workflow/texts/job/other", JOB, "job_name"),
        ("PUT", "/workflow/other", {"workflow_name": "texts"}, "workflow_name"),
        ("POST", "/workflow/texts/job", {"description": ""}, "job_name"),
        ("POST", "/workflow/texts/job", {**JOB, "job_name": "A"}, "job_name"),
        ("POST", "/workflow/texts/job", {**JOB, "job_name": ["a"]}, "job_name"),
        ("POST", "/workflow/texts/job", {**JOB, "colour": 1}, "colour"),
        ("PUT", "/workflow/texts/job/count", {"description": 1}, "description"),
    ],
)
def test_wrong_fields_are_refused_by_name(
    client: TestClient, method: str, path: str, fields: dict[str, object], named: str
) -> None:
    answer = client.simulate_request(method, path, json=fields)
    assert answer.status_code == 400
    assert named in answer.json["detail"]


def test_tags_in_an_entity_stay_what_they_are(client: TestClient, node: FakeNode) -> None:
    examples = [{"arguments": {"a": {"$bytes": "AA=="}}, "expected": []}]
    fields = {**FIELDS["handler"], "examples": examples}
    client.simulate_post("/workflow/texts/handler", json=fields)
    assert values.unpack(node.last("entity.create").fields)["examples"] == examples


def test_unknown_kind_has_no_address(client: TestClient) -> None:
    answer = client.simulate_get("/workflow/texts/request")
    assert (answer.status_code, answer.json["code"]) == (404, "no-route")


def test_forced_delete_says_what_it_broke(client: TestClient) -> None:
    client.simulate_post("/workflow/texts/job", json=JOB)
    answer = client.simulate_delete("/workflow/texts", params={"force": "true"})
    assert (answer.status_code, answer.json) == (200, {"broken": ["job count"]})


@pytest.mark.parametrize("query", ["force=1", "sure=true"])
def test_delete_refuses_what_it_does_not_know(client: TestClient, query: str) -> None:
    answer = client.simulate_delete("/workflow/texts", query_string=query)
    assert answer.status_code == 400
