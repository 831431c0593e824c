"""What is written of a unit on v2, and when."""

from __future__ import annotations

import pytest

from jobx.errors import JobxError, OutcomeUnknown, StoreUnavailable
from jobx.kv.etcd2.calls import Call, Look, Write
from jobx.kv.etcd2.records import RedoStep
from jobx.kv.etcd2.units import writes_of
from jobx.kv.net_effect import play
from jobx.kv.store import Create, Delete, DeletePrefix, Put, Replace, Unit
from tests.support.v2_model import Party, Server, run

ACCEPT: Unit = [
    Create("entities/request/w/1", b"e"),
    Put("open/n/w/1", b"o"),
    Create("idempotency/w/j/k", b"i"),
    Create("requests/w/1/log/0", b"0"),
]
ADOPT: Unit = [
    Put("entities/request/w/1", b"e"),
    Delete("open/n/w/1"),
    Put("open/m/w/1", b"o"),
    Create("requests/w/1/log/1", b"1"),
]
FINISH: Unit = [
    Put("entities/request/w/1", b"ended"),
    Delete("open/n/w/1"),
    Create("kept/w/p/0/1", b"k"),
    Create("listed/w/s/1", b""),
    Create("requests/w/1/log/1", b"1"),
]


def test_an_acceptance_writes_its_marker_and_its_key_before_its_event() -> None:
    wanted = writes_of(play(ACCEPT))
    assert wanted.asked == {}
    assert wanted.first == {"open/n/w/1": b"o", "idempotency/w/j/k": b"i"}
    assert wanted.taken == {"idempotency/w/j/k"}
    assert (wanted.guard, wanted.revision, wanted.value) == ("requests/w/1/log/0", 0, b"0")
    assert wanted.rest == (RedoStep("set", "entities/request/w/1", "e"),)


def test_an_end_asks_nobody_and_removes_last_what_leads_to_it() -> None:
    wanted = writes_of(play(FINISH))
    assert (wanted.asked, wanted.first) == ({}, {})
    assert [(step.kind, step.key.split("/")[0]) for step in wanted.rest] == [
        ("set", "entities"),
        ("set", "kept"),
        ("set", "listed"),
        ("remove", "open"),
    ]


def test_a_marker_that_moves_waits_for_nothing_and_is_there_before_the_old_one_goes() -> None:
    wanted = writes_of(play(ADOPT))
    assert wanted.first == {}
    assert [(step.kind, step.key) for step in wanted.rest] == [
        ("set", "entities/request/w/1"),
        ("set", "open/m/w/1"),
        ("remove", "open/n/w/1"),
    ]


def test_an_adoption_that_did_not_happen_blocks_no_event() -> None:
    server = Failing(OutcomeUnknown("log", "cut"), "log/1")
    assert run(server, Party().writer.write(ACCEPT)) is None
    assert isinstance(write(server, ADOPT), OutcomeUnknown)
    server._at = "nowhere"
    found = run(server, Party().reader.range("open/", None, None, False, None))
    assert [entry.key for entry in found] == ["open/n/w/1"]
    assert run(server, Party().writer.write([Create("requests/w/1/log/1", b"1")])) is None


@pytest.mark.parametrize(
    ("unit", "guard", "asked"),
    [
        ([Put("a", b""), Delete("b")], None, {}),
        ([Replace("a", b"", 7), Create("b", b"")], "b", {"a": 7}),
        ([Create("b", b""), Replace("a", b"", 7), Put("c", b"")], "a", {"b": 0}),
        ([DeletePrefix("a/"), Delete("a", 7)], "a", {}),
        ([Replace("open/n/w/1", b"", 7)], "open/n/w/1", {}),
        ([Replace("open/n/w/1", b"", 7), Create("b", b"")], "b", {"open/n/w/1": 7}),
    ],
    ids=str,
)
def test_the_guard_is_the_last_key_that_a_condition_is_about(
    unit: Unit, guard: str | None, asked: dict[str, int]
) -> None:
    wanted = writes_of(play(unit))
    assert (wanted.guard, wanted.asked) == (guard, asked)


def test_what_is_cleared_leaves_what_the_unit_writes_there() -> None:
    wanted = writes_of(play([DeletePrefix("a/"), Put("a/b", b""), Create("c", b"")]))
    assert wanted.rest == (RedoStep("clear", "a/", kept=("a/b",)), RedoStep("set", "a/b", ""))


class Failing(Server):
    """A server that fails at a call."""

    def __init__(self, error: JobxError, at: str) -> None:
        super().__init__()
        self._error, self._at = error, at

    def make(self, call: Call) -> object:
        """See ``Server.make``."""
        if isinstance(call, Write) and self._at in call.path:
            raise self._error
        return super().make(call)


def write(server: Server, unit: Unit) -> JobxError | None:
    """Write a unit; errors of calls are thrown at it."""
    steps = Party().writer.write(unit)
    try:
        calls = next(steps)
        while True:
            answers = []
            failed = None
            for call in calls:
                try:
                    answers.append(server.make(call))
                except JobxError as error:
                    failed = error
            calls = steps.send(answers) if failed is None else steps.throw(failed)
    except StopIteration as end:
        error: JobxError | None = end.value
        return error
    except JobxError as error:
        return error


@pytest.mark.parametrize(("unit", "trips"), [(ACCEPT, 4), (FINISH, 3), (ADOPT, 3)], ids=str)
def test_a_unit_takes_few_trips(unit: Unit, trips: int) -> None:
    server, party = Server(), Party()
    if unit is not ACCEPT:
        run(server, party.writer.write(ACCEPT))
    steps = party.writer.write(unit)
    calls, made = next(steps), 1
    with pytest.raises(StopIteration):
        while True:
            calls = steps.send([server.make(call) for call in calls])
            made += 1
    assert made == trips


def test_a_guard_that_was_not_written_leaves_nothing() -> None:
    server = Failing(StoreUnavailable("down"), "log")
    assert isinstance(write(server, ACCEPT), StoreUnavailable)
    assert server.files == {}


def test_a_guard_that_may_be_written_leaves_what_leads_to_it() -> None:
    server = Failing(OutcomeUnknown("log", "cut"), "log")
    assert isinstance(write(server, ACCEPT), OutcomeUnknown)
    assert set(server.files) == {"/root/open/n/w/1=", "/root/idempotency/w/j/k="}


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OutcomeUnknown("entity", "cut")])
def test_what_follows_a_guard_is_done_by_who_reads_it(error: JobxError) -> None:
    server = Failing(error, "entities")
    assert isinstance(write(server, ACCEPT), OutcomeUnknown)
    entity = Look("/root/entities/request/w/1")
    assert server.make(entity).index == 0
    server._at = "nowhere"
    found, _ = run(server, Party().reader.get("requests/w/1/log/0"))
    assert found is not None and found.value == b"0"
    assert server.make(entity).text == "e"


def test_a_marker_that_arrives_when_its_request_has_ended_counts_for_nothing() -> None:
    server, party = Server(), Party()
    sent: list[Call] = []
    real = server.make
    server.make = lambda call: (sent.append(call), real(call))[1]  # type: ignore[method-assign]  # it notes what is sent
    assert run(server, party.writer.write(ACCEPT)) is None
    assert run(server, party.writer.write(FINISH)) is None
    for call in sent:
        real(call)
    assert run(server, Party().reader.range("open/", None, None, False, None)) == []
    assert not [path for path in server.files if "/open/" in path]


@pytest.mark.parametrize(
    "unit",
    [
        [Delete("kept/w/p/0/1"), Put("kept/w/p/9/1", b"k")],
        [Delete("entities/request/w/1"), Delete("listed/w/s/1")],
        [DeletePrefix("entities/"), DeletePrefix("listed/"), DeletePrefix("kept/")],
    ],
    ids=["postponed", "hidden", "removed"],
)
def test_what_an_end_wrote_does_not_come_back_once_it_was_removed(unit: Unit) -> None:
    server = Server()
    for written in (ACCEPT, FINISH, unit):
        assert run(server, Party().writer.write(written)) is None
    before = dict(server.files)
    run(server, Party().reader.range("requests/", None, None, False, None))
    assert server.files == before


@pytest.mark.parametrize("at", ["entities", "kept", "listed"])
@pytest.mark.parametrize("is_marked", [True, False])
def test_an_end_of_which_a_part_is_missing_is_completed_by_who_reads_it(
    at: str, *, is_marked: bool
) -> None:
    server = Failing(OutcomeUnknown(at, "cut"), "nowhere")
    assert write(server, ACCEPT) is None
    server._at = at
    assert isinstance(write(server, FINISH), OutcomeUnknown)
    server._at = "nowhere"
    if is_marked:  # by a node that starts, before it reads the log
        assert write(server, [Put("open/n/w/1", b"again")]) is None
    run(server, Party().reader.range("requests/", None, None, False, None))
    folders = {path.split("/")[2] for path in server.files} - {"open"}
    assert folders == {"entities", "idempotency", "kept", "listed", "requests"}
    assert server.files["/root/entities/request/w/1"][0] == "ended"


@pytest.mark.parametrize(
    ("unit", "error"),
    [
        ([Put("a", b"")], StoreUnavailable),
        ([Put("a", b""), Put("b", b"")], OutcomeUnknown),
        ([Put("a", b""), Delete("b")], OutcomeUnknown),
    ],
    ids=str,
)
def test_a_unit_without_a_guard_is_unknown_once_a_part_of_it_may_be_there(
    unit: Unit, error: type[JobxError]
) -> None:
    server = Failing(StoreUnavailable("down"), "/a=")
    assert type(write(server, unit)) is error


def test_a_key_that_is_removed_with_others_is_gone_at_once_and_its_list_is_done() -> None:
    server = Server()
    assert write(server, [Put("a", b""), Put("a/1", b"")]) is None
    index = server.make(Look("/root/a=")).index
    failing = Failing(StoreUnavailable("down"), "nowhere")
    failing.index, failing.files = server.index, server.files
    assert write(failing, [Delete("a", index), DeletePrefix("a/"), Put("b", b"")]) is None
    assert set(server.files) == {"/root/b="}


def test_units_of_one_key_after_each_other_do_not_undo_each_other() -> None:
    server, party = Server(), Party()
    for number in range(3):
        unit = [Put("entity", str(number).encode()), Create(f"log/{number}", b"")]
        assert run(server, party.writer.write(unit)) is None
        run(server, Party().reader.range("log/", None, None, False, None))
    found, _ = run(server, Party().reader.get("entity"))
    assert found is not None and found.value == b"2"
