from __future__ import annotations

import inspect
import json
import socket
from typing import Any

import pytest
from falcon.testing import Result, TestClient

from jobx import meanings, values
from jobx.errors import (
    DeadlineExceeded,
    Draining,
    InternalError,
    JobxError,
    NodeUnreachable,
    Overloaded,
    StoreFull,
    StoreRefused,
)
from jobx.model import Failure
from tests.support.fake_node import FakeNode

COUNT = "/job/texts/count"
WORDS = {"arguments": {"text": "b a b"}}


def post(client: TestClient, path: str = COUNT, body: object = WORDS, **more: object) -> Result:
    return client.simulate_post(path, json=body, **more)


def _arguments(node: FakeNode) -> Any:
    """Return the arguments of the last submit, which the node gets packed."""
    return values.unpack(node.last("submit").arguments)


def test_post_answers_with_the_pairs(client: TestClient) -> None:
    answer = post(client)
    assert (answer.status_code, answer.json) == (200, {"result": {"pairs": [["a", 1], ["b", 2]]}})


def test_post_names_request_and_host(client: TestClient, node: FakeNode) -> None:
    answer = post(client)
    assert answer.headers["X-MR-REQUEST-ID"] == node.last("submit").request_id
    assert answer.headers["X-FULFILLED-BY"] == socket.gethostname()


def test_post_mints_a_new_request_id_each_time(client: TestClient) -> None:
    ids = {post(client).headers["X-MR-REQUEST-ID"] for _ in range(3)}
    assert len(ids) == 3


def test_post_keeps_the_order_of_arguments(client: TestClient, node: FakeNode) -> None:
    post(client, body={"arguments": {"text": "", "b": [1], "a": None}})
    assert _arguments(node) == [["text", ""], ["b", [1]], ["a", None]]


def test_post_undoes_tags_in_arguments(client: TestClient, node: FakeNode) -> None:
    post(client, body={"arguments": {"text": "", "raw": {"$bytes": "AAE="}}})
    assert _arguments(node)[1] == ["raw", b"\0\1"]


def test_post_passes_context_and_time_limit(client: TestClient, node: FakeNode) -> None:
    post(client, body={**WORDS, "context": {"who": "me"}, "time_limit_s": 7})
    submit = node.last("submit")
    assert (submit.context["who"], submit.time_limit_s) == ("me", 7.0)


def test_post_does_not_let_a_client_name_its_own_address(
    client: TestClient, node: FakeNode
) -> None:
    post(client, body={**WORDS, "context": {"requester_ip": "9.9.9.9"}})
    assert node.last("submit").context["requester_ip"] == "127.0.0.1"


@pytest.mark.parametrize(("flags", "is_kept"), [("01", True), ("00", True), ("0x", False)])
def test_a_traceparent_is_kept_with_the_request_if_it_is_one(
    client: TestClient, node: FakeNode, flags: str, is_kept: bool
) -> None:
    caller = f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"
    post(client, headers={"traceparent": caller})
    assert node.last("submit").context.get("traceparent") == (caller if is_kept else None)


def test_post_waits_as_long_as_the_setting_says(client: TestClient, node: FakeNode) -> None:
    post(client)
    submit = node.last("submit")
    assert (submit.is_blocking, submit.wait_s) == (True, 300.0)


@pytest.mark.parametrize(
    "asked",
    [{"params": {"blocking": "false"}}, {"headers": {"Prefer": "respond-async"}}],
    ids=["query", "prefer"],
)
def test_post_answers_at_once_when_asked(
    client: TestClient, node: FakeNode, asked: dict[str, object]
) -> None:
    answer = post(client, **asked)
    submit = node.last("submit")
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/request/texts/{submit.request_id}"
    assert answer.json["request_id"] == submit.request_id
    assert (submit.is_blocking, submit.wait_s) == (False, 0.0)


def test_post_gives_a_location_when_the_wait_runs_out(client: TestClient) -> None:
    answer = post(client, "/job/texts/slow", headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json["state"]) == (202, "running")
    assert answer.headers["Preference-Applied"] == "wait=0"


def test_post_never_waits_longer_than_the_setting(client: TestClient, node: FakeNode) -> None:
    answer = post(client, headers={"Prefer": "wait=9999"})
    assert node.last("submit").wait_s == 300.0
    assert answer.headers["Preference-Applied"] == "wait=300"


def test_repeated_key_gives_the_first_request(client: TestClient) -> None:
    first, again = (post(client, headers={"Idempotency-Key": "k 1"}) for _ in range(2))
    assert first.headers["X-MR-REQUEST-ID"] == again.headers["X-MR-REQUEST-ID"]
    assert again.headers["Idempotent-Replayed"] == "true"


def test_repeated_key_with_another_body_is_refused(client: TestClient) -> None:
    post(client, headers={"Idempotency-Key": "k"})
    answer = post(client, body={"arguments": {"text": "c"}}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["code"]) == (422, "key-reused")


def test_msgpack_body_and_answer(client: TestClient) -> None:
    headers = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
    answer = client.simulate_post(COUNT, body=values.pack(WORDS), headers=headers)
    assert values.unpack(answer.content) == {"result": {"pairs": [["a", 1], ["b", 2]]}}
    assert answer.headers["Content-Type"] == "application/msgpack"


def test_failed_request_is_a_problem_that_names_the_fault(
    client: TestClient, node: FakeNode
) -> None:
    node.desk.failure = Failure(
        kind="pair", type="ValueError", message="no", traceback="line 3", invocation_id="i9", pair=4
    )
    answer = post(client, "/job/texts/fail")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-MR-EXCEPTION-TYPE"] == "ValueError"
    assert answer.headers["X-MR-EXCEPTION-MESSAGE"] == "no"
    found = {name: answer.json[name] for name in ("code", "traceback", "invocation_id", "pair")}
    assert found == {
        "code": "request-failed",
        "traceback": "line 3",
        "invocation_id": "i9",
        "pair": 4,
    }


@pytest.mark.parametrize(
    ("kind", "status"), [("timeout", 504), ("crash", 500), ("lost", 500), ("memory", 500)]
)
def test_status_of_a_failed_request_follows_its_kind(
    client: TestClient, node: FakeNode, kind: str, status: int
) -> None:
    node.desk.failure = Failure(kind=kind, type="X", message="y")
    assert post(client, "/job/texts/fail").status_code == status


def test_exception_headers_hold_what_headers_may(client: TestClient, node: FakeNode) -> None:
    message = "é\r\nSet-Cookie: a=b\x00\x85→" + "x" * 10_000
    node.desk.failure = Failure(kind="author", type="E", message=message)
    header = post(client, "/job/texts/fail").headers["X-MR-EXCEPTION-MESSAGE"]
    assert header.startswith("é  Set-Cookie: a=b  ?xxx")
    assert len(header) == 500


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Overloaded("full", 2.4), 503, "3"),
        (Draining("stopping", 0.1), 503, "1"),
        (NodeUnreachable("gone"), 503, "1"),
        (StoreFull("disk", "no space"), 507, None),
        (StoreRefused("disk", "read-only"), 507, None),
        (DeadlineExceeded("it", 1.0), 504, None),
        (InternalError("oh"), 500, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_the_node_become_problems(
    client: TestClient, node: FakeNode, error: Exception, status: int, retry_after: str | None
) -> None:
    node.error = error
    answer = post(client)
    assert (answer.status_code, answer.json["status"]) == (status, status)
    assert answer.headers.get("Retry-After") == retry_after


@pytest.mark.parametrize(
    "kind",
    [kind for kind in meanings.TABLE if kind is not JobxError],
    ids=lambda kind: kind.__name__,
)
def test_an_answer_promises_that_nothing_was_started_or_names_what_may_exist(
    client: TestClient, node: FakeNode, kind: type[JobxError]
) -> None:
    arguments = {"str": "text", "float": 1.0}
    wanted = inspect.signature(kind).parameters.values()
    node.error = kind(*(arguments.get(one.annotation, "text") for one in wanted))
    answer = post(client)
    meaning = meanings.meaning_of(kind)
    told = {name: answer.json[name] for name in ("happened", "fault", "again", "status", "title")}
    assert told == {name: getattr(meaning, name) for name in told}
    request_id = node.last("submit").request_id
    if meaning.happened == "nothing":
        assert "X-MR-REQUEST-ID" not in answer.headers and "request_id" not in answer.json
    else:
        assert "Retry-After" not in answer.headers
        assert answer.headers["Location"] == f"/request/texts/{request_id}"
        assert answer.headers["X-MR-REQUEST-ID"] == answer.json["request_id"] == request_id


def test_unexpected_error_is_logged_under_the_id_that_the_client_gets(
    client: TestClient, node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.error = ZeroDivisionError("secret")
    answer = post(client)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json["error_id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_unknown_job_is_not_found(client: TestClient) -> None:
    answer = post(client, "/job/texts/nothing")
    detail = "there is no job named texts/nothing"
    assert (answer.status_code, answer.json["detail"]) == (404, detail)


@pytest.mark.parametrize("path", ["/job/Texts/count", "/job/texts/c%20d", "/job/texts/.."])
def test_impossible_name_is_refused(client: TestClient, path: str) -> None:
    answer = post(client, path)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid-input")


def test_accept_that_cannot_be_met_starts_nothing(client: TestClient, node: FakeNode) -> None:
    answer = post(client, headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json["code"]) == (406, "not-acceptable")
    assert node.calls == []


def test_proxy_on_this_machine_names_the_client(client: TestClient, node: FakeNode) -> None:
    post(client, headers={"X-Forwarded-For": "6.6.6.6, 10.1.2.3", "Forwarded": "for=7.7.7.7"})
    assert node.last("submit").context["requester_ip"] == "10.1.2.3"


def test_client_elsewhere_cannot_name_another(client: TestClient, node: FakeNode) -> None:
    post(client, remote_addr="10.9.9.9", headers={"X-Forwarded-For": "6.6.6.6"})
    assert node.last("submit").context["requester_ip"] == "10.9.9.9"


def test_large_result_is_streamed_as_lines_for_who_names_them(client: TestClient) -> None:
    headers = {"Accept": "application/json, application/x-ndjson"}
    answer = post(client, "/job/texts/pairs", {"arguments": {"count": 51}}, headers=headers)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = answer.text.splitlines()
    assert [json.loads(line) for line in lines] == [[n, n] for n in range(51)]


@pytest.mark.parametrize("accept", ["application/json", "*/*"])
def test_large_result_is_one_document_for_others(client: TestClient, accept: str) -> None:
    headers = {"Accept": accept}
    answer = post(client, "/job/texts/pairs", {"arguments": {"count": 51}}, headers=headers)
    assert len(answer.json["result"]["pairs"]) == 51
