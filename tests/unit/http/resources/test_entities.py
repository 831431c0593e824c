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
        "source_code": "def handler(arguments):\n    yield Return()\n",
    },
}
REDUCER = {
    "handler_name": "r",
    "description": "",
    "handler_type": "reducer",
    "source_code": "def handler(key, values):\n    yield key, 1\n",
}


@pytest.fixture(autouse=True)
def workflow(client: TestClient) -> None:
    fields = {"workflow_name": "notes", "description": "about notes"}
    assert client.simulate_post("/workflow", json=fields).status_code == 201
    for handler in (FIELDS["handler"], REDUCER):
        assert client.simulate_post("/workflow/notes/handler", json=handler).status_code == 201
    assert client.simulate_post("/workflow/notes/step", json=FIELDS["step"]).status_code == 201


@pytest.mark.parametrize("kind", FIELDS)
def test_created_entity_is_found_at_its_location(client: TestClient, kind: str) -> None:
    fields = {**FIELDS[kind], f"{kind}_name": "new"}
    created = client.simulate_post(f"/workflow/notes/{kind}", json=fields)
    assert created.status_code == 201
    found = client.simulate_get(created.headers["Location"]).json
    assert found == created.json
    assert found.items() >= {**fields, "workflow_name": "notes"}.items()


def test_read_entity_can_be_put_back(client: TestClient) -> None:
    client.simulate_put("/workflow/notes/job/count", json=JOB)
    read = client.simulate_get("/workflow/notes/job/count").json
    assert client.simulate_put("/workflow/notes/job/count", json=read).json == read


def test_workflow_can_be_replaced_and_deleted(client: TestClient) -> None:
    put = client.simulate_put("/workflow/notes", json={"description": "new"})
    assert (put.status_code, put.json["description"]) == (200, "new")
    assert client.simulate_put("/workflow/other", json={"description": ""}).status_code == 200
    assert client.simulate_delete("/workflow/other").status_code == 204
    assert client.simulate_get("/workflow/other").status_code == 404


def test_second_create_is_a_conflict(client: TestClient) -> None:
    codes = [client.simulate_post("/workflow/notes/job", json=JOB).status_code for _ in range(2)]
    assert codes == [201, 409]


def test_delete_of_what_is_in_use_is_a_conflict(client: TestClient) -> None:
    client.simulate_post("/workflow/notes/job", json=JOB)
    answer = client.simulate_delete("/workflow/notes")
    assert (answer.status_code, answer.json["code"]) == (409, "in-use")


def test_list_is_paged_by_name(client: TestClient) -> None:
    for name in ("b", "a", "c"):
        client.simulate_put(f"/workflow/notes/job/{name}", json={**JOB, "job_name": name})
    first = client.simulate_get("/workflow/notes/job", params={"limit": "2"}).json
    rest = client.simulate_get("/workflow/notes/job", params={"after": first["next"]}).json
    names = [one["job_name"] for one in first["entities"] + rest["entities"]]
    assert (names, rest["next"]) == (["a", "b", "c"], None)


@pytest.mark.parametrize(
    ("method", "path", "fields", "named"),
    [
        ("POST", "/workflow/notes/job", {**JOB, "workflow_name": "other"}, "workflow_name"),
        ("PUT", "/workflow/notes/job/other", JOB, "job_name"),
        ("PUT", "/workflow/other", {"workflow_name": "notes"}, "workflow_name"),
        ("POST", "/workflow/notes/job", {"description": ""}, "job_name"),
        ("POST", "/workflow/notes/job", {**JOB, "job_name": "A"}, "job_name"),
        ("POST", "/workflow/notes/job", {**JOB, "job_name": ["a"]}, "job_name"),
        ("POST", "/workflow/notes/job", {**JOB, "colour": 1}, "colour"),
        ("PUT", "/workflow/notes/job/count", {"description": 1}, "description"),
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
    client.simulate_post("/workflow/notes/handler", json=fields)
    assert values.unpack(node.last("entity.create").fields)["examples"] == examples


def test_unknown_kind_has_no_address(client: TestClient) -> None:
    answer = client.simulate_get("/workflow/notes/request")
    assert (answer.status_code, answer.json["code"]) == (404, "no-route")


def test_forced_delete_says_what_it_broke(client: TestClient) -> None:
    client.simulate_post("/workflow/notes/job", json=JOB)
    answer = client.simulate_delete("/workflow/notes", params={"force": "true"})
    assert (answer.status_code, answer.json) == (
        200,
        {"broken": ["job count", "step first", "handler m", "handler r"]},
    )


@pytest.mark.parametrize("query", ["force=2", "sure=true"])
def test_delete_refuses_what_it_does_not_know(client: TestClient, query: str) -> None:
    answer = client.simulate_delete("/workflow/notes", query_string=query)
    assert answer.status_code == 400
