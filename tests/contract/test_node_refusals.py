"""What a node refuses over its gateway, whatever the node is, and in which words."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from jobx.errors import JobxError
from jobx.questions import (
    AwaitRequest,
    CancelRequest,
    CountRequests,
    CreateEntity,
    DeleteEntity,
    DeliverResult,
    ExplainRequest,
    GetActor,
    GetActorSummary,
    GetDump,
    GetEntity,
    GetGraph,
    GetInvocation,
    GetRequest,
    GetResult,
    GetSummary,
    GetTimeline,
    GetTrace,
    GetTree,
    ListActors,
    ListEntities,
    ListInvocations,
    ListRequests,
    PutEntity,
    Question,
    ReadDump,
    ReadProgress,
    RestartActor,
    StopActor,
    SubmitJob,
    WatchRequest,
)
from tests.support.asked_node import WAIT_S, Asked, named, node, packed, submission, told

__all__ = ["node"]

#: A request that no node has.
ABSENT: Final[Any] = {"workflow": "texts", "request_id": "absent"}
MADE: Final = packed(workflow_name="texts", description="")
STEP: Final = packed(
    workflow_name="texts",
    step_name="s",
    description="",
    map_handler_name="absent",
    reduce_handler_name="sum",
)
REFUSED: Final[list[tuple[Question[Any], str]]] = [
    (SubmitJob(**ABSENT, job="absent"), "not-found: there is no job named texts/absent"),
    (SubmitJob(**{**ABSENT, "workflow": "absent"}, job="count"),
     "not-found: there is no workflow named absent"),
    (SubmitJob(**{**ABSENT, "request_id": "A b"}, job="slow"),
     "invalid-input: request: a name is "),
    (SubmitJob(**ABSENT, job="slow", result_writer="post"),
     "invalid-input: result_writer: job slow does not let requests choose a writer (got 'post')"),
    *((question, "not-found: there is no request named texts/absent") for question in (
        AwaitRequest(**ABSENT), GetRequest(**ABSENT), GetResult(**ABSENT), GetTrace(**ABSENT),
        DeliverResult(**ABSENT), GetInvocation(**ABSENT, invocation_id="m0"),
        GetGraph(**ABSENT, limit=1), ExplainRequest(**ABSENT), WatchRequest(**ABSENT),
        ReadProgress(**ABSENT, after=(-1,)), CancelRequest(**ABSENT, reason=""),
        GetSummary(**ABSENT), GetTree(**ABSENT), ListInvocations(**ABSENT), GetTimeline(**ABSENT),
        GetDump(**ABSENT),
    )),
    (ReadDump(dump_id="absent", number=1), "not-found: there is no dump named absent"),
    (GetRequest(workflow="texts", request_id="../x"), "invalid-input: request: a name is "),
    (ListRequests(workflow="absent", limit=1), "not-found: there is no workflow named absent"),
    (ListRequests(workflow="texts", after="A b", limit=1), "invalid-input: after: a name is "),
    (CountRequests(workflow="absent"), "not-found: there is no workflow named absent"),
    (CreateEntity(kind="workflow", fields=MADE), "already-exists: workflow texts exists already"),
    (CreateEntity(kind="colour", fields=MADE),
     "invalid-input: entity kind: the kinds are workflow, job, step, handler (got 'colour')"),
    (CreateEntity(kind="job", fields=MADE), "invalid-input: job: "),
    (PutEntity(kind="step", fields=STEP), "not-found: there is no handler named texts/absent"),
    (GetEntity(kind="job", workflow="texts", name="absent"),
     "not-found: there is no job named texts/absent"),
    (ListEntities(kind="job", workflow="absent", limit=1),
     "not-found: there is no workflow named absent"),
    (DeleteEntity(kind="handler", workflow="texts", name="sum"),
     "in-use: handler texts/sum is used by "),
    (ListActors(class_name="Colour"), "invalid-input: class: is no class of actors; there are "),
    (ListActors(below="colour"), "invalid-input: below: is no address of an actor"),
    (ListActors(below="n/1/999"), "not-found: there is no actor named n/1/999"),
    (ListActors(after="colour"), "invalid-input: after: is no cursor: give `next` "),
    (ListActors(after="1-00000000"), "invalid-input: after: is the cursor of another list"),
    (StopActor(address="n/1/999"), "not-found: there is no actor named n/1/999"),
    (RestartActor(address="n/1"), "invalid-input: address: is no address of an actor"),
    (GetActor(address="n/1/999"), "not-found: there is no actor named n/1/999"),
    (GetActorSummary(node="b"), "not-found: there is no node named b: this one, "),
]  # fmt: skip


@pytest.mark.parametrize(("question", "error"), REFUSED, ids=lambda one: getattr(one, "verb", ""))
def test_what_cannot_be_is_refused_in_the_same_words(
    node: Asked, question: Question[Any], error: str
) -> None:
    with pytest.raises(JobxError) as refused:
        node.ask(question)
    assert told(refused.value).startswith(error)


def test_a_key_with_another_body_is_refused(node: Asked) -> None:
    keyed = msgspec.structs.replace(
        submission("count", text="a"), idempotency_key="once", fingerprint="f"
    )
    first = node.ask(keyed).request.request_id
    other = msgspec.structs.replace(keyed, request_id="other", fingerprint="g")
    with pytest.raises(JobxError) as refused:
        node.ask(other)
    reason = f"request {first} was asked for with it, and with another body"
    assert told(refused.value) == f"key-reused: Idempotency-Key: {reason} (got 'once')"


@pytest.mark.parametrize(
    ("job", "error"),
    [
        ("slow", "not-ended: request {} has not ended yet"),
        ("fail", "request-failed: request {} failed: ValueError: no such word"),
    ],
)
def test_a_result_that_is_not_there_is_refused(node: Asked, job: str, error: str) -> None:
    key: Any = node.start(job)
    if job == "fail":
        node.ask(AwaitRequest(**key, wait_s=WAIT_S))
    with pytest.raises(JobxError) as refused:
        node.ask(GetResult(**key))
    assert told(refused.value) == error.format(key["request_id"])
    node.ask(CancelRequest(**key, reason=""))


@pytest.mark.parametrize(
    ("job", "error"),
    [("slow", "not-ended: request {}"), ("count", "not-found: there is no ")],
)
def test_what_has_no_delivery_is_not_delivered_again(node: Asked, job: str, error: str) -> None:
    key: Any = node.start() if job == "slow" else named(node.run("count", text="a"))
    with pytest.raises(JobxError) as refused:
        node.ask(DeliverResult(**key))
    assert told(refused.value).startswith(error.format(key["request_id"]))
    node.ask(CancelRequest(**key, reason=""))


@pytest.mark.parametrize(
    ("invocation_id", "error"),
    [
        ("m9", "not-found: there is no invocation named texts/{}/m9"),
        ("x", "invalid-input: invocation: an invocation id is m, c or r and a number (got 'x')"),
    ],
)
def test_an_invocation_that_is_not_there_is_refused(
    node: Asked, invocation_id: str, error: str
) -> None:
    key = named(node.run("count", text="a"))
    with pytest.raises(JobxError) as refused:
        node.ask(GetInvocation(**key, invocation_id=invocation_id))
    assert told(refused.value) == error.format(key["request_id"])


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (["colour"], "verb: is not known here (got 'colour')"),
        (["request.get", "w"], "request.get: takes workflow, request_id (got "),
        (["request.get", "w", "r", 1], "request.get: takes workflow, request_id (got "),
        (["request.get", "w", 5], "request.get: request_id: Expected `str`, got `int`"),
        (["request.get", "w" * 200, "r"], "request.get: workflow: Expected `str` of length <= 128"),
        (["wait", "w", "r", -1], "wait: wait_s: Expected `float` >= 0.0"),
        (["request.list", "w", "lost", None, 1], "request.list: state: Invalid enum value 'lost'"),
        (["request.list", "w", None, None, 0], "request.list: limit: Expected `int` >= 1"),
        (["actors.list", None, None, None, "awake"], "actors.list: state: Invalid enum value"),
        (["actors.list", None, None, None, None, None, None, 0], "actors.list: limit: Expected"),
        (["actors.top", None, None, None, None, None, "size"], "actors.top: by: Invalid enum"),
        (["actors.trace", *[None] * 6, 61], "actors.trace: wait_s: Expected `float` <= 60.0"),
        ({"verb": "request.get"}, "call: "),
        (None, "call: "),
    ],
)
def test_what_is_no_question_is_refused_by_the_name_of_its_field(
    node: Asked, sent: Any, error: str
) -> None:
    assert told(node.ask_packed(sent)).startswith(f"invalid-input: {error}")
