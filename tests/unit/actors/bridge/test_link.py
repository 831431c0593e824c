"""Two ends of a link over a network that loses, doubles and reorders, on virtual time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.bridge.envelope import UNKNOWN, Epoch, Letter, Packet
from jobx.actors.bridge.link import ACK_S, MAX_PROBE_S, PROBE_S, Broken, Link
from jobx.actors.bridge.stream import FRAGMENT_BYTES

PATIENCE_S = 5.0
RATES = st.sampled_from([0.0, 0.1, 0.3])


@dataclass
class Faults:
    """How bad the network is; ``is_cut``: from whom nothing arrives."""

    loss: float = 0.0
    double: float = 0.0
    delay_s: float = 0.001
    is_cut: tuple[bool, bool] = (False, False)


class Pair:
    """Two nodes with one link between them."""

    def __init__(self, seed: int = 0, patience_s: float = PATIENCE_S) -> None:
        self.now = 0.0
        self.faults = Faults()
        self.rng = random.Random(seed)
        self.patience_s = patience_s
        self.ends = [Link(1, 0.0, patience_s), Link(1, 0.0, patience_s)]
        #: What each end got, and what it was told of breaks.
        self.got: tuple[list[bytes], list[bytes]] = ([], [])
        self.broken: tuple[list[str], list[str]] = ([], [])
        self.letters = 0
        #: Whether the supervisors of the ends answer.
        self.is_alive = [True, True]
        self._order = itertools.count()
        self._way: list[tuple[float, int, int, Letter]] = []

    def run(self, for_s: float) -> None:
        """Let time pass."""
        end_at = self.now + for_s
        self._flush()
        while (at := self._next_at()) <= end_at:
            self.now = max(self.now, at)
            while self._way and self._way[0][0] <= self.now:
                _, _, to, letter = heapq.heappop(self._way)
                self._note(to, self.ends[to].receive(letter, self.now))
            for end, is_alive in zip(self.ends, self.is_alive, strict=True):
                if is_alive:
                    end.answer(self.now)
            self._flush()
        self.now = end_at

    def restart(self, which: int) -> None:
        """Begin a new life of a node."""
        registration = self.ends[which].epoch.registration + 1
        self.ends[which] = Link(registration, self.now, self.patience_s)

    def _next_at(self) -> float:
        way_at = self._way[0][0] if self._way else float("inf")
        return min(way_at, *(end.due_at() for end in self.ends))

    def _flush(self) -> None:
        for which, end in enumerate(self.ends):
            broken = end.expire(self.now)
            self._note(which, [broken] if broken else [])
            while (letter := end.poll(self.now)) is not None:
                self.letters += 1
                self._post(which, letter)

    def _post(self, source: int, letter: Letter) -> None:
        faults, rng = self.faults, self.rng
        if faults.is_cut[source]:
            return
        for _ in range(2 if rng.random() < faults.double else 1):
            if rng.random() >= faults.loss:
                at = self.now + 0.0005 + rng.random() * faults.delay_s
                heapq.heappush(self._way, (at, next(self._order), 1 - source, letter))

    def _note(self, which: int, events: list[bytes | Broken] | list[Broken]) -> None:
        for event in events:
            if isinstance(event, Broken):
                self.broken[which].append(event.reason)
            else:
                self.got[which].append(event)


def connected() -> Pair:
    pair = Pair()
    pair.run(1.0)
    assert all(end.is_up for end in pair.ends)
    return pair


def test_two_ends_find_each_other() -> None:
    pair = connected()
    assert pair.ends[0].peer_epoch == pair.ends[1].epoch


def test_an_idle_link_is_silent() -> None:
    pair = connected()
    pair.letters = 0
    pair.run(1000.0)
    assert pair.letters == 0


def test_a_message_arrives_without_a_delay_of_ours() -> None:
    pair = connected()
    pair.ends[0].outbox.put(b"hello")
    pair.run(0.002)
    assert pair.got[1] == [b"hello"]


def test_an_acknowledgement_waits_for_company_and_no_longer() -> None:
    pair = connected()
    pair.ends[0].outbox.put(b"hello")
    pair.run(0.003)
    assert pair.ends[0].outbox.acked == 0
    pair.run(ACK_S)
    assert pair.ends[0].outbox.acked == 1


def test_mail_carries_the_acknowledgement() -> None:
    pair = connected()
    pair.letters = 0
    pair.ends[0].outbox.put(b"question")
    pair.run(0.002)
    pair.ends[1].outbox.put(b"answer")
    pair.run(0.002)
    assert (pair.letters, pair.ends[0].outbox.acked) == (2, 1)


@given(
    seed=st.integers(0, 1 << 30),
    loss=RATES,
    double=RATES,
    delay_s=st.sampled_from([0.001, 0.1, 2.0]),
)
def test_all_messages_arrive_once_and_in_order(
    seed: int, loss: float, double: float, delay_s: float
) -> None:
    pair = Pair(seed, patience_s=1e9)
    pair.faults = Faults(loss, double, delay_s)
    posted: tuple[list[bytes], list[bytes]] = ([], [])
    for number in range(30):
        which = pair.rng.randrange(2)
        size = pair.rng.choice((0, 5, 5, 5, FRAGMENT_BYTES + 1))
        message = f"{which}/{number}/".encode() + bytes(size)
        pair.ends[which].outbox.put(message)
        posted[1 - which].append(message)
        pair.run(pair.rng.choice((0.0, 0.01, 1.0)))
    pair.run(300.0)
    assert pair.got == posted
    assert pair.broken == ([], [])
    assert all(end.outbox.backlog_bytes == 0 for end in pair.ends)


@given(seed=st.integers(0, 1 << 30))
def test_what_arrives_in_one_pair_of_epochs_is_the_beginning_of_what_was_sent_in_it(
    seed: int,
) -> None:
    pair = Pair(seed)
    pair.faults = Faults(0.1, 0.1, 0.5)
    sent: dict[bytes, list[bytes]] = defaultdict(list)
    for number in range(60):
        which = pair.rng.randrange(2)
        end = pair.ends[which]
        if end.is_up:
            epochs = repr((which, end.epoch, end.peer_epoch)).encode()
            message = epochs + b"|" + str(number).encode()
            end.outbox.put(message)
            sent[epochs].append(message)
        mishap = pair.rng.random()
        if mishap < 0.05:
            pair.restart(which)
        elif mishap < 0.15:
            pair.faults.is_cut = (pair.rng.random() < 0.5, pair.rng.random() < 0.5)
        pair.run(pair.rng.choice((0.0, 0.1, 1.0, 4.0)))
    pair.faults.is_cut = (False, False)
    pair.run(60.0)
    got: dict[bytes, list[bytes]] = defaultdict(list)
    for message in pair.got[0] + pair.got[1]:
        got[message.partition(b"|")[0]].append(message)
    for epochs, messages in got.items():
        assert messages == sent[epochs][: len(messages)]
    assert all(end.is_up for end in pair.ends)


def test_both_ends_hear_of_a_restart() -> None:
    pair = connected()
    pair.restart(0)
    pair.run(2.0)
    assert pair.broken == ([], ["the peer began anew"])
    assert all(end.is_up for end in pair.ends)


def test_a_peer_that_does_not_acknowledge_is_given_up_and_hears_of_it() -> None:
    pair = connected()
    pair.faults.is_cut = (True, False)
    pair.ends[0].outbox.put(b"hello")
    pair.run(PATIENCE_S - 0.1)
    assert pair.broken == ([], [])
    pair.run(0.2)
    pair.faults.is_cut = (False, False)
    pair.run(PROBE_S)
    assert pair.broken == (["the peer did not answer for 5 s"], ["the peer began anew"])


def test_a_silent_peer_is_noticed_by_those_that_depend_on_it() -> None:
    pair = connected()
    pair.ends[0].use(pair.now, is_used=True)
    pair.faults.is_cut = (False, True)
    pair.run(PATIENCE_S + PROBE_S)
    assert len(pair.broken[0]) == 1


def test_a_peer_whose_supervisor_hangs_is_given_up_and_does_not_come_back() -> None:
    pair = connected()
    pair.ends[0].use(pair.now, is_used=True)
    pair.is_alive[1] = False
    for number in range(60):
        pair.ends[0].outbox.put(b"%d" % number)
        pair.run(0.1)
    assert pair.broken[0] == ["the peer did not answer for 5 s"]
    assert len(pair.got[1]) > 40  # it acknowledged them
    pair.run(100.0)
    assert not pair.ends[0].is_up
    assert len(pair.broken[0]) == 1

    pair.is_alive[1] = True
    pair.run(2 * MAX_PROBE_S)
    assert all(end.is_up for end in pair.ends)


def test_what_a_peer_sends_whose_supervisor_has_not_answered_waits() -> None:
    pair = Pair()
    pair.is_alive[1] = False
    pair.run(0.5)
    assert [end.is_up for end in pair.ends] == [False, True]
    pair.ends[1].outbox.put(b"hello")
    pair.run(2.0)
    assert pair.got[0] == []
    pair.is_alive[1] = True
    pair.run(2.0)
    assert pair.got[0] == [b"hello"]


def test_peers_whose_supervisors_hang_do_not_write_to_each_other_all_the_time() -> None:
    pair = Pair()
    pair.is_alive = [False, False]
    pair.run(100.0)
    assert pair.letters < 60


def test_a_peer_of_a_version_that_does_not_ask_its_supervisor_answers_with_any_letter() -> None:
    link = Link(5, 0.0, PATIENCE_S)
    link.receive(Letter(Epoch(2, 1), link.epoch, 0), 0.1)
    assert link.is_up
    link = Link(5, 0.0, PATIENCE_S)
    link.receive(Letter(Epoch(2, 1), link.epoch, 0, is_alive=False), 0.1)
    assert not link.is_up


def test_a_link_that_is_used_holds_while_nobody_writes() -> None:
    pair = connected()
    for end in pair.ends:
        end.use(pair.now, is_used=True)
    pair.run(100.0)
    assert pair.broken == ([], [])


def test_a_link_in_use_after_a_long_silence_is_not_given_up_at_once() -> None:
    pair = connected()
    pair.run(1000.0)
    pair.ends[0].use(pair.now, is_used=True)
    pair.run(100.0)
    assert pair.broken == ([], [])


def test_messages_flow_again_after_a_break() -> None:
    pair = connected()
    pair.faults.is_cut = (True, True)
    pair.ends[0].outbox.put(b"lost")
    pair.run(PATIENCE_S + 1.0)
    pair.faults.is_cut = (False, False)
    pair.run(2 * PROBE_S)
    pair.ends[0].outbox.put(b"hello")
    pair.run(0.1)
    assert pair.got[1] == [b"hello"]


def test_a_peer_that_is_not_there_is_asked_less_and_less_often() -> None:
    pair = Pair()
    pair.faults.is_cut = (True, True)
    pair.run(100.0)
    pair.letters = 0
    pair.run(1000.0)
    assert pair.letters == 2 * 1000.0 / MAX_PROBE_S


def test_a_peer_that_may_be_reached_again_is_asked_soon() -> None:
    pair = connected()
    pair.ends[0].use(pair.now, is_used=True)
    pair.faults.is_cut = (True, True)
    pair.run(100.0)
    pair.faults.is_cut = (False, False)
    for end in pair.ends:
        end.retry()
    pair.run(2 * PROBE_S)
    assert all(end.is_up for end in pair.ends)


def test_a_peer_that_is_not_there_is_asked_once_however_many_ways_open() -> None:
    pair = Pair()
    pair.faults.is_cut = (True, True)
    pair.run(100.0)
    pair.letters = 0
    for _ in range(100):
        for end in pair.ends:
            end.retry()
        pair.run(PROBE_S / 200)
    assert pair.letters == 2


def test_an_old_epoch_is_not_heard_once_its_registration_ended() -> None:
    pair = connected()
    pair.ends[0].lose(1, "its lease ended")
    pair.run(10.0)
    assert not pair.ends[0].is_up
    pair.restart(1)
    pair.run(10.0)
    assert pair.ends[0].is_up


def test_a_letter_for_another_epoch_is_answered_and_not_read() -> None:
    link = Link(5, 0.0, PATIENCE_S)
    link.poll(0.0)
    packet = Packet(1, is_last=True, body=b"for an epoch before")
    letter = Letter(Epoch(2, 1), Epoch(4, 1), 0, wants_ack=False, packets=[packet])
    assert link.receive(letter, 0.1) == []
    answer = link.poll(0.1)
    assert answer is not None
    assert (answer.source_epoch, answer.target_epoch) == (Epoch(5, 1), Epoch(2, 1))
    assert link.stale == 1


def test_a_first_call_is_not_stale() -> None:
    link = Link(5, 0.0, PATIENCE_S)
    link.receive(Letter(Epoch(2, 1), UNKNOWN, 0), 0.1)
    assert link.stale == 0


def test_a_letter_of_an_earlier_epoch_is_dropped() -> None:
    link = Link(5, 0.0, PATIENCE_S)
    link.receive(Letter(Epoch(2, 2), Epoch(5, 1), 0), 0.1)
    packet = Packet(1, is_last=True, body=b"of an epoch before")
    assert link.receive(Letter(Epoch(2, 1), Epoch(5, 1), 0, packets=[packet]), 0.2) == []
    assert link.stale == 1


def test_a_link_holds_when_an_earlier_registration_of_the_peer_ends() -> None:
    link = Link(5, 0.0, PATIENCE_S)
    link.receive(Letter(Epoch(2, 1), link.epoch, 0), 0.1)
    assert link.lose(1, "its lease ended") is None
    assert link.is_up


@pytest.mark.parametrize("patience_s", [0.1, 1.0])
def test_a_used_link_with_little_patience_holds(patience_s: float) -> None:
    pair = Pair(patience_s=patience_s)
    pair.run(2 * PROBE_S)
    for end in pair.ends:
        end.use(pair.now, is_used=True)
    pair.run(100.0)
    assert pair.broken == ([], [])
