from __future__ import annotations

import json

import pytest
from falcon.testing import TestClient

from tests.unit.http.resources.test_requests import submit


def test_dump_is_streamed_as_it_is_asked_for(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a b')}/dump"
    lines = client.simulate_get(path)
    ids = [json.loads(line)["invocation_id"] for line in lines.text.splitlines()]
    assert (lines.status_code, lines.headers["Content-Type"]) == (200, "application/x-ndjson")
    whole = client.simulate_get(path, params={"format": "json"})
    assert whole.json["request"]["job_name"] == "count"
    assert [one["invocation_id"] for one in whole.json["invocations"]] == ids
    text = client.simulate_get(path, params={"flat": "true"})
    assert text.headers["Content-Type"].startswith("text/plain")
    assert text.text.startswith("m0 M A")


def test_dump_shows_only_what_is_asked_for(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a b')}/dump"
    query = {"state": "failed,cancelled", "step": "count", "below": "m0", "attempts": "1"}
    assert client.simulate_get(path, params=query).text == ""


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("format=xml", "format"),
        ("state=lost", "state"),
        ("state=failed,lost", "state"),
        ("step=A b", "step"),
        ("below=r1", "below"),
        ("attempts=0", "attempts"),
        ("max_value_bytes=-1", "max_value_bytes"),
        ("max_value_bytes=99999999999", "max_value_bytes"),
        ("redact=perhaps", "redact"),
        ("flat=x", "flat"),
        ("colour=red", "colour"),
        ("state=failed&state=failed", "state"),
    ],
)
def test_what_is_wrong_in_a_query_is_named(client: TestClient, query: str, named: str) -> None:
    request_id = submit(client, "count", text="a b")
    answer = client.simulate_get(f"/request/texts/{request_id}/dump", query_string=query)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid-input")
    assert answer.json["detail"].startswith((f"query parameter {named}:", f"{named}:"))


def test_absent_request_has_no_dump(client: TestClient) -> None:
    assert client.simulate_get("/request/texts/absent/dump").status_code == 404
