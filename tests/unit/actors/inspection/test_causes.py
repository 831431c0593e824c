from __future__ import annotations

import importlib
from typing import Any, get_args

import pytest

from jobx.actors.executors.processes import Starts
from jobx.actors.inspection import causes
from jobx.actors.inspection.causes import Causes
from jobx.actors.inspection.node_facts import NodeFacts, PeerFacts
from jobx.actors.log_writer import Outstanding
from jobx.actors.request.standing import MAX_UNCOMMITTED, Busy, Cause, Group, Standing
from jobx.errors import StoreFull
from jobx.views import OpenGroup, RequestView

REQUEST = RequestView(
    request_id="r1", workflow_name="flow", job_name="j", state="running", is_blocking=True,
    accepted_at=1.0,
)  # fmt: skip
OTHER = Busy("flow", "r7", 1, "m0", 5.0)


def shown(given: Group, facts: NodeFacts = NodeFacts(), **standing: Any) -> OpenGroup:  # noqa: B008 - it is frozen
    fields = {"open": 3, "phase": "open", "uncommitted": 0, **standing}
    return Causes(REQUEST, Standing([given], **fields), facts).view(given)


def group(cause: Any, **fields: Any) -> Group:
    return Group(cause, fields.pop("kind", "map"), "count", 3, 7, **fields)


def facts(**fields: Any) -> NodeFacts:
    return NodeFacts(now=100.0, now_at=1_000_100.0, **fields)


def peer(**fields: Any) -> PeerFacts:
    known = {"is_member": True, "heard_at": 90.0, "undelivered": 0, "is_reached": True}
    return PeerFacts(**{**known, "given_up_at": 95.0, **fields})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (group("running", executor=42), "executor 42 runs it"),
        (
            group("running", executor=42, kind="reduce", part=5, parts=8),
            "executor 42 runs part 5 of its 8 parts",
        ),
        (group("dying", executor=42, error="E: no"), "executor 42 ran it, and was killed: E: no"),
        (group("behind", executor=42), "executor 42 has it, and is about to begin it"),
        (
            group("behind", executor=42, ahead="m3 of request r7"),
            "executor 42 has it, behind m3 of request r7",
        ),
        (group("queued"), "waits for an executor"),
        (
            group("capability", error="no node offers gpu"),
            "waits for a node that can do it: no node offers gpu",
        ),
        (group("peer", node="b"), "node b has it; it comes back if that node is lost"),
        (
            group("backoff", attempt=2, error="ValueError: no"),
            "is tried again after attempt 1: ValueError: no; "
            "a corrected handler is for new requests only",
        ),
        (
            group("backoff", attempt=3, error="E: no", faults=2, tries=5),
            "is tried again after error 2 of 5: E: no; "
            "a corrected handler is for new requests only",
        ),
        (group("full", error="F: no"), "found no room, and is tried again: F: no"),
        (group("window"), "is suspended until enough of its children have ended"),
        (
            group("window", first_open=17, opens="each"),
            "is suspended until enough of its children have ended: "
            "its window is full, from m17 of step each on",
        ),
        (
            group("remade", first_open=3),
            "its input is gone from its blob, and is made again by m3",
        ),
        (group("children", first_open=3), "waits for its children, first m3"),
        (group("ready"), "starts when some of what the request has at work ends"),
    ],
)
def test_each_cause_is_said_in_words(given: Group, says: str) -> None:
    assert shown(given).says == says


def test_no_cause_is_without_words() -> None:
    assert {*get_args(Cause)} <= {*causes._SAYS}


def test_what_runs_is_longer_than_usual_only_if_it_is() -> None:
    slow = group("running", executor=4, since=90.0, usual_s=0.1, limit_s=60.0)
    quick = group("running", executor=4, since=99.5, usual_s=0.1, limit_s=60.0)
    assert shown(slow, facts()).says == (
        "executor 4 runs it, for 10.0 s: "
        "longer than its version usually takes (0.1 s), and at most 60 s"
    )
    assert shown(quick, facts()).says == "executor 4 runs it"
    assert shown(slow, facts()).until_at == 1_000_150.0


def test_a_stopped_executor_shows_no_sign_of_life_and_is_waited_for() -> None:
    still = shown(group("running", executor=4, since=90.0, limit_s=60.0, is_still=True), facts())
    assert "shows no sign of life" in still.says
    assert (still.until_at, still.helps) == (1_000_150.0, None)


def test_what_waits_behind_another_request_names_it_and_how_to_end_it() -> None:
    queued = shown(group("queued"), busy=(OTHER,))
    assert queued.says == "waits for an executor, behind request r7 (1: m0)"
    assert queued.helps == "jobx request cancel flow r7"


def test_requests_that_take_turns_name_their_shares() -> None:
    queued = shown(group("queued"), busy=(OTHER,), share=2)
    assert queued.says.endswith("this one has 2, others have request r7 (1: m0)")
    assert queued.helps == "jobx node status"


def test_where_no_executor_can_start_its_deaths_are_told() -> None:
    starting = shown(group("queued"), facts(starts=Starts(4, "it exited with code 3")))
    assert starting.cause == "starting"
    assert starting.says.endswith("died 4 times in a row, the last time: it exited with code 3")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"undelivered": 3}, "; 3 messages to it are not delivered; "),
        ({"is_reached": False}, ", and the nsqd of its queues is not reached; "),
        ({"is_member": False}, ", and its lease has ended; "),
    ],
)
def test_a_silent_peer_says_since_when_and_why(state: dict[str, Any], says: str) -> None:
    silent = shown(group("peer", node="b"), facts(peer=lambda *_: peer(**state)))
    assert says in silent.says
    assert (silent.until_at, silent.helps) == (1_000_095.0, "jobx cluster status")


def test_a_peer_that_answers_is_not_silent() -> None:
    given = shown(group("peer", node="b"), facts(peer=lambda *_: peer(heard_at=99.0)))
    assert given.says == "node b has it; it comes back if that node is lost"


@pytest.mark.parametrize(
    ("standing", "cause", "says"),
    [
        ({"phase": "closed"}, "stopping", "the node is stopping"),
        (
            {"uncommitted": MAX_UNCOMMITTED + 1},
            "store",
            f"{MAX_UNCOMMITTED + 1} events are not durable",
        ),
        ({"is_ending": True}, "ending", "the end of the request is being written"),
    ],
)
def test_what_may_not_start_says_why(standing: dict[str, Any], cause: str, says: str) -> None:
    given = shown(group("ready"), **standing)
    assert given.cause == cause
    assert says in given.says


def test_a_store_without_room_names_the_folder_and_what_is_free() -> None:
    fault = StoreFull("jobx.sqlite", "disk full")
    full = facts(outstanding=Outstanding(90.0, 2, fault), free="/data has 0 bytes free")
    assert causes.commit(full).endswith(
        "2 appends wait: no room left in jobx.sqlite: disk full (/data has 0 bytes free)"
    )


@pytest.mark.parametrize("cause", get_args(Cause))
def test_what_helps_is_a_command_that_there_is(cause: Cause) -> None:
    helps = shown(group(cause, first_open=3), busy=(OTHER,)).helps
    if helps is None or helps == "df":
        return
    program, noun, verb, *words = helps.split()
    assert program == "jobx"
    noun_group = getattr(importlib.import_module(f"jobx.tools.commands.{noun}"), noun)
    noun_group.commands[verb].make_context(verb, words)  # it would refuse a word too many
