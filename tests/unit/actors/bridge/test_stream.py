from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.bridge.envelope import MAX_DATAGRAM_BYTES, Packet
from jobx.actors.bridge.stream import (
    BACKLOG_BYTES,
    DATAGRAM_BYTES,
    FRAGMENT_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PARTS,
    MAX_RESEND_S,
    RESEND_S,
    WINDOW_BYTES,
    Inbox,
    Outbox,
    size_of,
)
from jobx.errors import FrameError, TooLarge


def filled(*messages: bytes) -> Outbox:
    outbox = Outbox()
    for message in messages:
        outbox.put(message)
    return outbox


def sent(outbox: Outbox, now: float = 0.0) -> list[Packet]:
    """Return all packets that go out now."""
    found: list[Packet] = []
    while packets := outbox.take(now):
        assert sum(size_of(packet) for packet in packets) <= DATAGRAM_BYTES + 64
        found += packets
    return found


def read(packets: list[Packet]) -> list[bytes]:
    inbox = Inbox()
    return [message for packet in packets for message in inbox.take(packet)]


@pytest.mark.parametrize(
    ("size", "packets"),
    [(0, 1), (1, 1), (FRAGMENT_BYTES, 1), (FRAGMENT_BYTES + 1, 2), (3 * FRAGMENT_BYTES, 3)],
)
def test_a_long_message_travels_in_fragments(size: int, packets: int) -> None:
    found = sent(filled(bytes(size)))
    assert len(found) == packets
    assert read(found) == [bytes(size)]


def test_small_messages_share_a_datagram() -> None:
    assert len(filled(*[b"x"] * 100).take(0.0)) == 100


def test_a_datagram_is_never_larger_than_a_queue_takes() -> None:
    outbox = filled(*[b"x"] * 20_000, bytes(FRAGMENT_BYTES))
    while packets := outbox.take(0.0):
        assert sum(len(packet.body) + 12 for packet in packets) + 500 < MAX_DATAGRAM_BYTES


@given(
    messages=st.lists(st.binary(max_size=5), max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_packets_in_any_order_give_the_messages_in_theirs(
    messages: list[bytes], order: object
) -> None:
    packets = sent(filled(*messages)) * 2
    order.shuffle(packets)  # type: ignore[attr-defined]  # a Random
    assert read(packets) == messages


def test_a_packet_that_comes_again_is_counted_and_dropped() -> None:
    inbox = Inbox()
    packets = [Packet(1, True, b"one"), Packet(3, True, b"three")]
    assert [inbox.take(packet) for packet in [*packets, *packets]] == [[b"one"], [], [], []]
    assert (inbox.received, inbox.duplicates) == (1, 2)


def test_no_more_is_under_way_than_the_window() -> None:
    outbox = filled(*[bytes(FRAGMENT_BYTES)] * 20)
    packets = sent(outbox)
    assert sum(map(size_of, packets)) <= WINDOW_BYTES + FRAGMENT_BYTES
    outbox.acknowledge(packets[0].number, 0.0)
    assert len(sent(outbox)) == 1


def test_a_receiver_keeps_no_more_than_the_window_of_early_packets() -> None:
    inbox = Inbox()
    for number in range(2, 40):
        inbox.take(Packet(number, True, bytes(FRAGMENT_BYTES)))
    kept = 38 - inbox.refused
    assert WINDOW_BYTES <= kept * FRAGMENT_BYTES <= WINDOW_BYTES + 2 * FRAGMENT_BYTES


def test_many_early_packets_without_bytes_are_bounded() -> None:
    inbox = Inbox()
    for number in range(2, 100_000):
        inbox.take(Packet(number, True, b""))
    assert inbox.refused > 0


def test_a_backlog_has_an_end() -> None:
    outbox = filled(*[bytes(MAX_MESSAGE_BYTES // 4)] * 7)
    with pytest.raises(TooLarge, match=str(BACKLOG_BYTES)):
        outbox.put(bytes(MAX_MESSAGE_BYTES // 2))


def test_a_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(TooLarge):
        Outbox().put(bytes(MAX_MESSAGE_BYTES + 1))


def test_a_message_that_never_ends_is_refused() -> None:
    inbox = Inbox()
    packet = bytes(FRAGMENT_BYTES)
    with pytest.raises(FrameError):
        for number in range(1, MAX_MESSAGE_BYTES // FRAGMENT_BYTES + 2):
            inbox.take(Packet(number, False, packet))


def test_a_message_of_endless_packets_without_bytes_is_refused() -> None:
    inbox = Inbox()
    with pytest.raises(FrameError, match=str(MAX_PARTS)):
        for number in range(1, MAX_PARTS + 2):
            inbox.take(Packet(number, False, b""))


def test_nothing_is_sent_again_before_its_time() -> None:
    outbox = filled(b"one")
    outbox.take(0.0)
    assert outbox.due_at == RESEND_S
    assert outbox.take(RESEND_S - 0.001) == []


def test_packets_that_nobody_acknowledges_are_sent_again_less_and_less_often() -> None:
    outbox = filled(b"one")
    outbox.take(0.0)
    times = []
    for _ in range(5):
        times.append(outbox.due_at)
        assert [packet.body for packet in outbox.take(outbox.due_at)] == [b"one"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == [0.5, MAX_RESEND_S, MAX_RESEND_S, MAX_RESEND_S]
    assert outbox.resent == 5


def test_a_silent_receiver_gets_one_datagram_again_and_not_the_whole_window() -> None:
    outbox = filled(*[bytes(FRAGMENT_BYTES)] * 5)
    sent(outbox)
    assert len(sent(outbox, RESEND_S)) == 1


def test_a_receiver_that_is_back_gets_the_rest_at_once() -> None:
    outbox = filled(*[bytes(FRAGMENT_BYTES)] * 5)
    sent(outbox)
    numbers = [packet.number for packet in outbox.take(RESEND_S)]
    for number in (1, 2, 3, 4):
        outbox.acknowledge(number, 0.3)
        numbers += [packet.number for packet in outbox.take(0.3)]
    assert numbers == [1, 2, 3, 4, 5]


def test_what_arrived_before_is_not_sent_again() -> None:
    outbox = filled(*[bytes(FRAGMENT_BYTES)] * 5)
    sent(outbox)
    outbox.take(RESEND_S)
    outbox.acknowledge(5, 0.3)
    assert outbox.take(0.3) == []
    assert (outbox.backlog_bytes, outbox.due_at, outbox.waits_since) == (0, math.inf, math.inf)


@pytest.mark.parametrize("number", [0, -1, 2, 1 << 60])
def test_an_acknowledgement_of_what_was_not_sent_changes_nothing(number: int) -> None:
    outbox = filled(b"one")
    outbox.take(0.0)
    outbox.acknowledge(number, 0.0)
    assert outbox.acked == 0
    assert outbox.backlog_bytes > 0
