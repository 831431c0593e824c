"""What a node answers over its gateway, whatever the node is: every verb, what it refuses, how.

The real one has actors, executors and a store on disk; the other is what the tests of the front
end ask instead.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
import zlib
from typing import Any, Final

import msgspec
import pytest

from jobx.counting import LONG_S
from jobx.errors import JobxError
from jobx.handlers.pairs import run_merger
from jobx.kv.requests.request_entity import new_id
from jobx.payload import Payload
from jobx.questions import (
    PROTOCOL,
    QUESTIONS,
    AwaitRequest,
    CancelRequest,
    CountHttp,
    CountRequests,
    CreateEntity,
    DeleteEntity,
    ExplainRequest,
    GetActor,
    GetActorSummary,
    GetActorTree,
    GetDump,
    GetEntity,
    GetGraph,
    GetInvocation,
    GetMetrics,
    GetNode,
    GetReadiness,
    GetRequest,
    GetResult,
    GetSummary,
    GetTimeline,
    GetTrace,
    GetTree,
    Hello,
    HttpCount,
    KeptArguments,
    ListActors,
    ListDeadLetters,
    ListEntities,
    ListInvocations,
    ListNotifications,
    ListRequests,
    ListVersions,
    PutEntity,
    ReadDump,
    ReadProgress,
    RefreshLibrary,
    RestartActor,
    StopActor,
    TopActors,
    TraceActors,
    WatchRequest,
    answer_type,
)
from jobx.views import TraceView, View
from tests.contract import test_node_refusals
from tests.support.asked_node import WAIT_S, Asked, named, node, packed, submission, told

__all__ = ["node"]


def test_a_request_succeeds_with_its_pairs(node: Asked) -> None:
    outcome = node.run("count", text="to be or not to be")
    assert (outcome.request.state, outcome.request.result_pairs) == ("succeeded", 4)
    assert outcome.result is not None
    payloads = map(Payload.from_wire, outcome.result.payloads)
    pairs = list(run_merger.pairs(payloads, outcome.result.blob_dir))
    assert pairs == [("be", 2), ("not", 1), ("or", 1), ("to", 2)]
    assert node.ask(GetResult(**named(outcome))) == outcome.result


def test_a_request_fails_as_its_handler_does(node: Asked) -> None:
    outcome = node.run("fail")
    assert (outcome.request.state, outcome.result) == ("failed", None)
    assert outcome.request.failure is not None
    told = outcome.request.failure
    assert (told.kind, told.type, told.message) == ("author", "ValueError", "no such word")


def test_a_request_is_running_until_it_has_ended(node: Asked) -> None:
    key = node.start()
    assert node.ask(AwaitRequest(**key, wait_s=0.05)).request.state == "running"
    assert node.ask(GetRequest(**key)).state == "running"
    ended = node.ask(CancelRequest(**key, reason="enough"))
    assert ended.state == "cancelled"
    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.message) == ("cancelled", "enough")
    assert node.ask(CancelRequest(**key, reason="again")).failure == ended.failure


def test_a_request_of_the_same_id_is_the_same(node: Asked) -> None:
    asked = submission("count", text="a")
    first = node.ask(asked)
    assert node.ask(asked) == first


def test_a_key_gives_the_first_request(node: Asked) -> None:
    keyed = {"idempotency_key": f"k{time.time_ns()}", "fingerprint": "f"}
    first = node.ask(msgspec.structs.replace(submission("count", text="a"), **keyed))
    again = node.ask(msgspec.structs.replace(submission("count", text="a"), **keyed))
    assert (first.replayed, again.replayed) == (False, True)
    assert again.request.request_id == first.request.request_id


def test_what_has_ended_says_why(node: Asked) -> None:
    explained = node.ask(ExplainRequest(**named(node.run("count", text="a"))))
    assert (explained.request.state, explained.says) == ("succeeded", "it has succeeded")


def test_views_show_what_a_request_has_done(node: Asked) -> None:
    key = named(node.run("count", text="a"))
    summary = node.ask(GetSummary(**key))
    assert [(step.mapped, step.succeeded, step.reduced) for step in summary.steps] == [(1, 1, 1)]
    page = node.ask(ListInvocations(**key))
    assert [row.state for row in page.invocations] == ["succeeded"] * len(page.invocations)
    parent = node.ask(GetTree(**key)).parent
    assert parent is not None
    assert (parent.first, parent.state) == ("m0", "succeeded")
    assert node.ask(GetTimeline(**key)).columns is None


def test_a_dump_is_read_chunk_by_chunk(node: Asked) -> None:
    first = node.ask(GetDump(**named(node.run("count", text="a"))))
    assert first.data.startswith(b'{"invocation_id":"m0"')
    last = node.ask(ReadDump(dump_id=first.dump_id, number=1))
    assert (last.data, last.is_last) == (b"", True)


def test_a_watcher_hears_of_the_end(node: Asked) -> None:
    key = named(node.run("count", text="a"))
    found = node.ask(WatchRequest(**key, wait_s=WAIT_S))
    assert found.summary is not None
    assert (found.is_end, found.is_reset, found.summary.as_of) == (True, False, found.as_of)
    assert found.summary.request.state == "succeeded"
    again = node.ask(WatchRequest(**key, after=found.as_of, wait_s=WAIT_S))
    assert (again.as_of, again.is_end) == (found.as_of, True)
    assert node.ask(ReadProgress(**key, after=(0, 1))).summary == found.summary


def test_a_watcher_who_knows_all_waits(node: Asked) -> None:
    key = node.start()
    first = node.ask(WatchRequest(**key))
    assert (first.as_of, first.is_end) == (0, False)
    waiting = node.ask(WatchRequest(**key, after=0, wait_s=0.05))
    assert (waiting.as_of, waiting.summary) == (0, None)
    node.ask(CancelRequest(**key, reason="enough"))
    last = node.ask(WatchRequest(**key, after=0, wait_s=WAIT_S))
    assert last.summary is not None
    assert last.summary.request.state == "cancelled"


def test_an_event_that_has_not_happened_was_not_seen(node: Asked) -> None:
    key = named(node.run("count", text="a"))
    for wait_s in (0.0, WAIT_S):
        with pytest.raises(JobxError) as refused:
            node.ask(WatchRequest(**key, after=99, wait_s=wait_s))
        assert told(refused.value).startswith("invalid-input: after: the last event so far is ")


def test_a_trace_shows_the_root_of_a_request(node: Asked) -> None:
    key = named(node.run("count", text="a"))
    root = msgspec.json.decode(node.ask(GetTrace(**key)).json, type=TraceView).root
    assert root is not None
    found = (root.invocation_id, root.kind, root.state, root.step_name, root.handler_name)
    assert found == ("m0", "map", "succeeded", "count", "count")
    assert node.ask(GetInvocation(**key, invocation_id="m0")).invocation_id == "m0"
    assert "m0" in node.ask(GetGraph(**key, limit=10)).dot


def test_requests_are_listed_newest_first_page_by_page(node: Asked) -> None:
    ids = sorted(named(node.run("count", text="a"))["request_id"] for _ in range(3))
    page = ListRequests(workflow="texts", state="succeeded", limit=2)
    first = node.ask(page)
    rest = node.ask(msgspec.structs.replace(page, after=first.next, limit=1))
    shown = [one.request_id for one in first.requests + rest.requests]
    assert sorted(shown) == ids
    assert first.next is not None
    assert first.next.startswith(f"{shown[1]}.")
    with pytest.raises(JobxError, match="is a cursor of a list with another filter"):
        node.ask(ListRequests(workflow="texts", after=first.next, limit=1))


def test_a_cursor_that_no_request_has_is_a_place_among_them(node: Asked) -> None:
    node.run("count", text="a")
    page = node.ask(ListRequests(workflow="texts", after="0", limit=5))
    assert (page.requests, page.next) == ([], None)


def test_requests_are_counted_by_job_and_state(node: Asked) -> None:
    before = node.ask(CountRequests(workflow="texts", job="count")).total
    node.run("count", text="a")
    counted = node.ask(CountRequests(workflow="texts", job="count"))
    assert counted.total.succeeded == before.succeeded + 1
    assert [one.job_name for one in counted.jobs] == ["count"]


def test_an_entity_is_created_read_listed_replaced_and_deleted(node: Asked) -> None:
    names = {"workflow": "made", "name": "made"}
    fields = packed(workflow_name="made", description="a")
    made = node.ask(CreateEntity(kind="workflow", fields=fields))
    assert made.entity["description"] == "a"
    assert node.ask(GetEntity(kind="workflow", **names)) == made
    fields = packed(workflow_name="made", description="b")
    put = node.ask(PutEntity(kind="workflow", fields=fields))
    assert put.entity["description"] == "b"
    page = node.ask(ListEntities(kind="workflow", limit=1))
    assert ([one["workflow_name"] for one in page.entities], page.next) == (["made"], "made")
    assert node.ask(DeleteEntity(kind="workflow", **names)).broken == []
    assert not node.ask(RefreshLibrary()).changed


def test_versions_of_a_handler_are_those_that_are_still_there(node: Asked) -> None:
    names = {"workflow": "texts", "name": "count"}
    now = node.ask(GetEntity(kind="handler", **names)).entity
    found = node.ask(ListVersions(**names)).entities
    assert [(one["version"], one["source_code"]) for one in found] == [
        (now["version"], now["source_code"])
    ]


def test_a_forced_deletion_says_what_it_broke(node: Asked) -> None:
    for kind, fields in (
        ("workflow", {"description": ""}),
        (
            "handler",
            {
                "handler_name": "h",
                "handler_type": "mapper",
                "description": "",
                "source_code": "def handler(arguments):\n    yield 'a', 1\n",
            },
        ),
    ):
        node.ask(CreateEntity(kind=kind, fields=packed(workflow_name="gone", **fields)))
    deletion = DeleteEntity(kind="workflow", workflow="gone", name="gone")
    with pytest.raises(JobxError, match="workflow gone is used by handler h"):
        node.ask(deletion)
    broken = node.ask(msgspec.structs.replace(deletion, force=True)).broken
    assert broken == ["handler h"]


def test_a_node_says_how_it_is(node: Asked) -> None:
    ready = node.ask(GetReadiness())
    assert (ready.state, ready.trouble) == ("running", None)
    assert node.ask(GetNode()).state == "running"
    told = node.ask(ListNotifications())
    assert told.told >= len(told.notifications)
    assert node.ask(GetActorTree(limit=1)).actors[0].name.startswith("Supervisor")


def test_a_node_shows_its_actors(node: Asked) -> None:
    (first,) = node.ask(ListActors(limit=1)).actors
    assert (first.class_name, first.parent) == ("Supervisor", None)
    assert [one.class_name for one in node.ask(GetActorSummary()).classes if one.live] != []
    assert node.ask(GetActor(address=first.address)).actor.address == first.address
    assert len(node.ask(TopActors(limit=1)).actors) <= 1
    assert node.ask(TraceActors(address=first.address, wait_s=0.01)).is_full is False
    assert node.ask(ListDeadLetters()).count >= 0


@pytest.mark.parametrize("kind", [StopActor, RestartActor])
def test_what_the_node_needs_is_neither_stopped_nor_restarted(node: Asked, kind: Any) -> None:
    (root,) = node.ask(ListActors(class_name="Supervisor")).actors
    with pytest.raises(JobxError) as refused:
        node.ask(kind(address=root.address))
    assert told(refused.value).startswith("in-use: actor Supervisor")
    assert "is used by the node, which cannot go on without it" in str(refused.value)


def counts_of(node: Asked, metric: str) -> dict[tuple[str, ...], float]:
    families = {family.name: family for family in node.ask(GetMetrics()).families}
    return {sample.labels: sample.value for sample in families[metric].samples}


def test_a_node_counts_what_web_workers_report_once(node: Asked) -> None:
    labels = ("GET", f"/{new_id(time.time(), os.urandom(10))}", "200")
    counted = [HttpCount(labels, [0, 2, *[0] * (len(LONG_S) - 1)], 0.003, 20)]
    for number in (1, 1, 2):
        report = CountHttp(worker=f"w{labels[1]}", number=number, counted=counted)
        assert node.ask(report).number == number
    assert counts_of(node, "jobx_http_requests")[labels] == 4
    assert counts_of(node, "jobx_http_sent_bytes")[(labels[1],)] == 40


def test_the_suite_asks_every_question() -> None:
    source = "".join(map(inspect.getsource, (test_node_refusals, sys.modules[__name__])))
    assert [kind for kind in QUESTIONS.values() if f"{kind.__name__}(" not in source] == [Hello]


def test_every_question_has_a_view_for_its_answer() -> None:
    assert all(issubclass(answer_type(kind), View) for kind in QUESTIONS.values())


#: The protocol, and the CRC-32 of the fields of all questions that it has.
SPOKEN: Final = (6, 2614056444)


def test_a_change_of_a_question_changes_the_protocol() -> None:
    kinds = {verb: kind.__struct_fields__ for verb, kind in sorted(QUESTIONS.items())}
    fields = json.dumps([kinds, KeptArguments.__struct_fields__])
    assert (PROTOCOL, zlib.crc32(fields.encode())) == SPOKEN
