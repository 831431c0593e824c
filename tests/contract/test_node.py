"""What a node answers over its gateway, whatever the node is: every verb, what it refuses, how.

The real one has actors, executors and a store on disk; the other is what the tests of the front
end ask instead.
"""

from __future__ import annotations

import json
import os
import socket
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest

from jobx import questions, values
from jobx.counting import LONG_S
from jobx.errors import JobxError
from jobx.frames import FrameSocket, with_head
from jobx.handlers.pairs import root_input, run_merger
from jobx.kv.requests.request_entity import new_id
from jobx.kv.sqlite.store import SqliteStore
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
    DeliverResult,
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
    ListRequests,
    ListVersions,
    PutEntity,
    Question,
    ReadDump,
    ReadProgress,
    RefreshLibrary,
    RestartActor,
    StopActor,
    SubmitJob,
    TopActors,
    TraceActors,
    WatchRequest,
    answer_type,
)
from jobx.tools.shared.gateway_client import GatewayClient
from jobx.views import Outcome, TraceView, View
from tests.support import texts
from tests.support.fake_node import FakeNode, gateway_thread
from tests.support.live_node import live_node

A = TypeVar("A", bound=View)

#: A request that no node has.
ABSENT: Final[Any] = {"workflow": "texts", "request_id": "absent"}
WAIT_S: Final = 60.0


class Asked:
    """A node, asked over its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, question: Question[A]) -> A:
        """Return the answer to a question; raises the node's error."""
        with GatewayClient(self._path) as gateway:
            return gateway.call(question)

    def ask_packed(self, question: Any) -> JobxError:
        """Return the error that answers what is no question."""
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.settimeout(60)
            sock.connect(str(self._path))
            stream = FrameSocket(sock)
            stream.send_bytes(with_head(values.pack([7, question])))
            body = stream.receive_body()
            stream.close()
        assert body is not None
        number, answer = questions.decode_reply(body)
        assert (number, isinstance(answer, JobxError)) == (7, True)
        return answer

    def run(self, job: str, **arguments: Any) -> Outcome:
        """Run a request."""
        return self.ask(submission(job, **arguments))

    def start(self, job: str = "slow") -> dict[str, Any]:
        """Start a request and return what names it."""
        asked = msgspec.structs.replace(submission(job), is_blocking=False)
        return {"workflow": "texts", "request_id": self.ask(asked).request.request_id}


def submission(job: str, **arguments: Any) -> SubmitJob:
    """Return the question to run a job."""
    return SubmitJob(
        workflow="texts",
        request_id=new_id(time.time(), os.urandom(10)),
        job=job,
        arguments=root_input.pack(arguments),
        wait_s=WAIT_S,
    )


@pytest.fixture(scope="module", params=["real", "fake"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "fake":
        with gateway_thread(FakeNode(folder), folder / "gateway.sock"):
            yield Asked(folder / "gateway.sock")
        return
    with closing(SqliteStore(folder / "jobx.sqlite")) as store:
        texts.write(store)
    with live_node(folder):
        yield Asked(folder / "gateway.sock")


def named(outcome: Outcome) -> Any:
    """Return what names a request."""
    return {"workflow": "texts", "request_id": outcome.request.request_id}


def packed(**fields: Any) -> msgspec.Raw:
    """Return the fields of an entity as they travel."""
    return msgspec.Raw(values.pack(fields))


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


def told(error: JobxError) -> str:
    """Return an error as its code and its sentence."""
    return f"{error.code}: {error}"


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


def test_the_suite_asks_every_question() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in QUESTIONS.values() if f"{kind.__name__}(" not in source] == [Hello]


def test_every_question_has_a_view_for_its_answer() -> None:
    assert all(issubclass(answer_type(kind), View) for kind in QUESTIONS.values())


#: The protocol, and the CRC-32 of the fields of all questions that it has.
SPOKEN: Final = (3, 2627316963)


def test_a_change_of_a_question_changes_the_protocol() -> None:
    kinds = {verb: kind.__struct_fields__ for verb, kind in sorted(QUESTIONS.items())}
    fields = json.dumps([kinds, KeptArguments.__struct_fields__])
    assert (PROTOCOL, zlib.crc32(fields.encode())) == SPOKEN
