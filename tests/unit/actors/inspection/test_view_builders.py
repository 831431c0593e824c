from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobx import model
from jobx.actors.inspection.view_builders import outcome, request_view, result_view
from jobx.errors import NotEnded, RequestFailed
from jobx.payload import Payload

RUNNING = model.Request(
    workflow_name="flow",
    request_id="r1",
    job_name="j",
    invocation_id="m0",
    accepted_at=1.0,
    context={"ip": "::1"},
)
FAILURE = model.Failure(kind="author", type="ValueError", message="wrong")
FOLDER = "/blobs/flow/r1"


def _ended(state: str, **fields: Any) -> model.Request:
    return msgspec.structs.replace(RUNNING, state=state, is_done=True, finished_at=2.0, **fields)


SUCCEEDED = _ended(
    "succeeded",
    result=[Payload(2, 5, b"12345"), Payload(1, 7, None, "b", 9)],
    result_pairs=3,
)
EMPTY = _ended("succeeded", result=[], result_pairs=0)
FAILED = _ended("failed", failure=FAILURE)
ENOUGH = model.Failure(kind="cancelled", type="Cancelled", message="enough")


def test_a_view_has_what_the_request_has() -> None:
    view = request_view(SUCCEEDED, [])
    shared = set(view.__struct_fields__) & set(RUNNING.__struct_fields__)
    assert {n: getattr(view, n) for n in shared} == {n: getattr(SUCCEEDED, n) for n in shared}
    assert view.result_bytes == 12


@pytest.mark.parametrize(("request_", "size"), [(RUNNING, None), (EMPTY, 0), (FAILED, None)])
def test_only_a_result_has_a_size(request_: model.Request, size: int | None) -> None:
    assert request_view(request_, []).result_bytes == size


def test_a_result_says_where_its_pairs_are() -> None:
    view = result_view(SUCCEEDED, FOLDER)
    assert (view.pairs, view.size_bytes, view.blob_dir) == (3, 12, FOLDER)
    assert [Payload.from_wire(wire) for wire in view.payloads] == SUCCEEDED.result


def test_an_empty_result_is_a_result() -> None:
    assert result_view(EMPTY, FOLDER).pairs == 0


def test_a_running_request_has_no_result_yet() -> None:
    with pytest.raises(NotEnded, match="request r1 has not ended yet"):
        result_view(RUNNING, FOLDER)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (FAILED, "request r1 failed: ValueError: wrong"),
        (_ended("failed"), "request r1 failed: Unknown: "),
        (_ended("cancelled", failure=ENOUGH), "request r1 was cancelled: enough"),
    ],
)
def test_a_request_without_a_result_says_why(request_: model.Request, sentence: str) -> None:
    with pytest.raises(RequestFailed) as raised:
        result_view(request_, FOLDER)
    assert str(raised.value) == sentence


def test_an_outcome_has_a_result_when_there_is_one() -> None:
    assert outcome(SUCCEEDED, FOLDER).result == result_view(SUCCEEDED, FOLDER)
    assert outcome(RUNNING, FOLDER).result is None
    assert outcome(FAILED, FOLDER).result is None


def test_an_outcome_says_why_it_is_what_the_store_has() -> None:
    assert outcome(RUNNING, FOLDER, "node a is silent").request.as_stored == "node a is silent"
    assert outcome(RUNNING, FOLDER).request.as_stored is None
