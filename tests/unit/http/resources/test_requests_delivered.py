from __future__ import annotations

from typing import Any

import pytest
from falcon.testing import TestClient
from msgspec.structs import replace

from jobx.entity_json import encode
from jobx.kv import keys
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Put
from jobx.model import Destination
from jobx.questions import DeliverResult
from tests.support.fake_node import FakeNode
from tests.unit.http.resources.test_requests import submit


def test_delivery_begins_again_and_its_request_says_so(client: TestClient, node: FakeNode) -> None:
    request_id = submit(client, "count", text="a")
    done = request_entity.get(node.store, "texts", request_id)
    goes = replace(done, destination=Destination(writer="post", place="http://a"))
    entry = Put(keys.entity("request", "texts", request_id), encode(goes))
    node.store.commit([entry, *deliveries.begin_writes(goes, "fake")])

    answer = client.simulate_post(f"/request/texts/{request_id}/delivery")

    assert (answer.status_code, answer.headers["Location"]) == (202, f"/request/texts/{request_id}")
    assert answer.json["deliveries"][0]["delivery_id"] == f"texts/{request_id}"
    assert node.last("request.deliver") == DeliverResult(workflow="texts", request_id=request_id)


@pytest.mark.parametrize(("job", "status"), [("slow", 409), ("fail", 404)])
def test_what_has_no_delivery_cannot_be_delivered_again(
    job: str, status: int, client: TestClient
) -> None:
    answer = client.simulate_post(f"/request/texts/{submit(client, job)}/delivery")
    assert answer.status_code == status


def test_delivery_takes_no_query(client: TestClient) -> None:
    answer = client.simulate_post("/request/texts/r1/delivery", query_string="writer=file")
    assert (answer.status_code, answer.json["code"]) == (400, "invalid-input")


@pytest.mark.parametrize("sent", [{"body": "{}"}, {"headers": {"Transfer-Encoding": "chunked"}}])
def test_delivery_takes_no_body(sent: dict[str, Any], client: TestClient) -> None:
    answer = client.simulate_post("/request/texts/r1/delivery", **sent)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid-input")


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5000])
def test_invocation_of_an_over_long_id_is_not_found(
    number: str, client: TestClient, node: FakeNode
) -> None:
    path = f"/request/texts/{submit(client, 'slow')}/invocation/m{number}"
    assert client.simulate_get(path).status_code == 404
    assert node.count("request.invocation") == 0
