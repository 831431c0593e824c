from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import TestClient
from msgspec.structs import replace

from jobx.config_sections import HttpSettings
from jobx.entity_json import encode
from jobx.errors import BlobDamaged
from jobx.handlers.pairs import run_reader
from jobx.http.app import create_app
from jobx.http.writing import results
from jobx.kv import keys
from jobx.kv.requests import request_entity
from jobx.kv.store import Delete, Put
from jobx.model import Failure
from jobx.questions import AwaitRequest, Question
from tests.support.fake_node import FakeNode


def submit(client: TestClient, job: str, **arguments: object) -> str:
    body = {"arguments": arguments}
    answer = client.simulate_post(f"/job/texts/{job}", json=body, params={"blocking": "false"})
    found: str = answer.json["request_id"]
    return found


def test_view_shows_how_a_request_stands(client: TestClient) -> None:
    request_id = submit(client, "slow")
    view = client.simulate_get(f"/request/texts/{request_id}").json
    assert (view["request_id"], view["state"]) == (request_id, "running")


def test_list_pages_newest_first(client: TestClient) -> None:
    ids = sorted(submit(client, "slow") for _ in range(3))
    first = client.simulate_get("/request/texts", params={"limit": "2"}).json
    rest = client.simulate_get("/request/texts", params={"after": first["next"]}).json
    shown = [one["request_id"] for one in first["requests"] + rest["requests"]]
    assert (shown, rest["next"]) == (ids[::-1], None)


def test_list_keeps_to_a_state(client: TestClient) -> None:
    submit(client, "slow")
    failed = submit(client, "fail")
    page = client.simulate_get("/request/texts", params={"state": "failed"}).json
    assert [one["request_id"] for one in page["requests"]] == [failed]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("state=odd", "state"),
        ("limit=0", "limit"),
        ("limit=11", "limit"),
        ("limit=1e3", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("colour=red", "colour"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_list_refuses_a_wrong_query_by_name(client: TestClient, query: str, named: str) -> None:
    answer = client.simulate_get("/request/texts", query_string=query)
    assert answer.status_code == 400
    assert f"query parameter {named}" in answer.json["detail"]


@pytest.mark.parametrize("request_id", ["nope", "a%20b", "%2e%2e", "x" * 65])
def test_unknown_request_is_not_found(client: TestClient, request_id: str) -> None:
    answer = client.simulate_get(f"/request/texts/{request_id}")
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")


def test_result_is_a_conflict_while_the_request_runs(client: TestClient) -> None:
    answer = client.simulate_get(f"/request/texts/{submit(client, 'slow')}/result")
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")
    assert (answer.json["code"], answer.json["title"]) == ("not-ended", "It has not ended yet")


def test_result_waits_when_preferred(client: TestClient, node: FakeNode) -> None:
    request_id = submit(client, "count", text="a")
    path = f"/request/texts/{request_id}/result"
    answer = client.simulate_get(path, headers={"Prefer": "wait=20"})
    assert (answer.json, node.last("wait").wait_s) == ({"result": {"pairs": [["a", 1]]}}, 20.0)


def test_result_of_a_failed_request_is_its_problem(client: TestClient, node: FakeNode) -> None:
    node.desk.failure = Failure(kind="timeout", type="TimeLimit", message="slow", traceback="t")
    answer = client.simulate_get(f"/request/texts/{submit(client, 'fail')}/result")
    assert (answer.status_code, answer.json["traceback"]) == (504, "t")


def test_result_comes_as_lines_when_asked(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='b a')}/result"
    answer = client.simulate_get(path, headers={"Accept": "application/x-ndjson"})
    assert answer.text == '["a",1]\n["b",1]\n'


def test_empty_result_is_no_lines(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='')}/result"
    answer = client.simulate_get(path, headers={"Accept": "application/x-ndjson"})
    assert (answer.status_code, answer.text) == (200, "")


@pytest.mark.parametrize("end", ["", "/result"])
def test_what_a_client_may_choose_is_named_to_caches(client: TestClient, end: str) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a')}{end}"
    first = client.simulate_get(path)
    again = client.simulate_get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, first.headers["Vary"]) == (304, "Accept")
    assert again.headers["Vary"] == "Accept, Accept-Encoding"


def test_head_of_a_result_has_its_headers_only(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a')}/result"
    answer = client.simulate_head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "application/json"


def test_cancel_ends_a_request(client: TestClient, node: FakeNode) -> None:
    path = f"/request/texts/{submit(client, 'slow')}"
    answer = client.simulate_delete(path, params={"reason": "enough"})
    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
    assert node.last("request.cancel").reason == "enough"


def test_result_of_a_cancelled_request_is_a_conflict(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'slow')}"
    client.simulate_delete(path)
    answer = client.simulate_get(f"{path}/result")
    assert (answer.status_code, answer.json["code"]) == (409, "request-cancelled")
    assert answer.json["detail"].startswith("Cancelled: over HTTP by ")


def test_trace_shows_sessions_of_any_value(client: TestClient, node: FakeNode) -> None:
    moment = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    node.desk.session = {"seen": {1: b"\0"}, "at": moment}
    request_id = submit(client, "count", text="a")
    trace = client.simulate_get(f"/request/texts/{request_id}/trace", params={"limit": "5"}).json
    assert trace["root"]["session"]["seen"] == {"$map": [[1, {"$bytes": "AA=="}]]}
    assert node.last("request.trace").limit == 5


@pytest.fixture
def from_blobs(tmp_path: Path, settings: HttpSettings) -> TestClient:
    return TestClient(create_app(FakeNode(tmp_path), settings))


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_result_in_blobs_is_streamed_whole(from_blobs: TestClient, accept: str) -> None:
    value = "v" * 1000
    count = 4 * results.SLICE_BYTES // len(value)
    path = f"/request/texts/{submit(from_blobs, 'pairs', count=count, value=value)}/result"
    answer = from_blobs.simulate_get(path, headers={"Accept": accept})
    if accept == "application/json":
        pairs = answer.json["result"]["pairs"]
    else:
        pairs = [json.loads(line) for line in answer.text.splitlines()]
    assert pairs == [[n, value] for n in range(count)]
    assert "Content-Length" not in answer.headers


def test_damaged_blob_is_an_error_and_not_a_short_result(
    from_blobs: TestClient, tmp_path: Path
) -> None:
    request_id = submit(from_blobs, "pairs", count=3)
    (tmp_path / "texts" / request_id / "run").unlink()
    answer = from_blobs.simulate_get(f"/request/texts/{request_id}/result")
    assert (answer.status_code, answer.json["code"]) == (500, "blob-damaged")


class Janitor(FakeNode):
    """A node that removes a request once it has said where its result is."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    async def attend(self, question: Question[Any]) -> Any:
        outcome = await super().attend(question)
        if isinstance(question, AwaitRequest):
            self.store.commit([Delete(keys.entity("request", "texts", question.request_id))])
            shutil.rmtree(self.folder / "texts" / question.request_id)
        return outcome


@pytest.mark.parametrize("pages", ["/request", "/ui/request"])
def test_request_that_is_removed_before_its_blobs_are_read_is_not_found(
    pages: str, settings: HttpSettings, tmp_path: Path
) -> None:
    client = TestClient(create_app(Janitor(tmp_path), settings))
    request_id = submit(client, "pairs", count=3)
    assert client.simulate_get(f"{pages}/texts/{request_id}/result").status_code == 404


@pytest.mark.parametrize("damage", [lambda run: run[:-1], lambda run: run + b"\xc0"])
def test_damaged_small_result_is_an_error_and_not_a_short_result(
    client: TestClient, node: FakeNode, damage: Callable[[bytes], bytes]
) -> None:
    request_id = submit(client, "pairs", count=3)
    request = request_entity.get(node.store, "texts", request_id)
    assert request.result is not None
    (run,) = request.result
    damaged = replace(run, inline=damage(run.inline or b""))
    entry = encode(replace(request, result=(damaged,)))
    node.store.commit([Put(keys.entity("request", "texts", request_id), entry)])
    answer = client.simulate_get(f"/request/texts/{request_id}/result")
    assert (answer.status_code, answer.json["code"]) == (500, "blob-damaged")


def _spoiled(client: TestClient, folder: Path) -> str:
    request_id = submit(client, "pairs", count=5000, value="v" * 1000)
    blob = folder / "texts" / request_id / "run"
    blob.write_bytes(blob.read_bytes()[:-1] + b"w")
    return request_id


def test_nothing_is_streamed_of_a_blob_that_is_damaged_at_its_end(
    from_blobs: TestClient, tmp_path: Path
) -> None:
    request_id = _spoiled(from_blobs, tmp_path)
    answer = from_blobs.simulate_get(f"/request/texts/{request_id}/result")
    assert (answer.status_code, answer.json["code"]) == (500, "blob-damaged")


def test_stream_of_a_blob_that_is_damaged_while_it_is_sent_is_cut_off(
    from_blobs: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_reader, "verify", lambda *_: None)
    request_id = _spoiled(from_blobs, tmp_path)
    with pytest.raises(BlobDamaged):
        from_blobs.simulate_get(f"/request/texts/{request_id}/result")


def test_an_invocation_is_shown_with_its_session(client: TestClient, node: FakeNode) -> None:
    node.desk.session = {"seen": b"\x01"}
    path = f"/request/texts/{submit(client, 'count', text='a')}/invocation/m0"
    shown = client.simulate_get(path).json
    assert (shown["invocation_id"], shown["output"]) == ("m0", "é, printed\n")
    assert shown["session"] == {"seen": {"$bytes": "AQ=="}}


def test_output_of_an_invocation_is_plain_text(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a')}/invocation/m0/output"
    answer = client.simulate_get(path)
    assert (answer.status_code, answer.text) == (200, "é, printed\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("name", ["m1", "x0", "m", "m-1", "m01", "m%00", "m" + "9" * 30])
@pytest.mark.parametrize("part", ["", "/output"])
def test_unknown_invocation_is_not_found(client: TestClient, name: str, part: str) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a')}/invocation/{name}{part}"
    answer = client.simulate_get(path)
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")


@pytest.mark.parametrize("part", ["", "/output"])
def test_invocation_of_an_unknown_request_is_not_found(client: TestClient, part: str) -> None:
    answer = client.simulate_get(f"/request/texts/nope/invocation/m0{part}")
    assert answer.status_code == 404


def test_result_that_lacked_a_capability_is_unavailable(client: TestClient, node: FakeNode) -> None:
    node.desk.failure = Failure(
        kind="capability", type="NoCapability", message="no node offers 'gpu'"
    )
    answer = client.simulate_get(f"/request/texts/{submit(client, 'fail')}/result")
    assert (answer.status_code, answer.json["kind"]) == (503, "capability")
    assert "'gpu'" in answer.json["detail"]
