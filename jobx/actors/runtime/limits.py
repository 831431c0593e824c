"""The limits of an actor system, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The limits of an actor system.

    Attributes:
        slice_messages: Messages after which the loop gets a turn.
        slice_s: Seconds after which the loop gets a turn.
        mailbox: Unread messages of one actor; further ones go to dead letters.
        call_s: Longest wait of ``ask``, ``listen`` and ``createActor`` in other threads.
        stop_s: Time limit for the exit of all actors at ``shutdown``.
    """

    slice_messages: int = 256
    slice_s: float = 0.004
    mailbox: int = 100_000
    call_s: float = 60.0
    stop_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of a system since its creation."""

    created: int
    exited: int
    failed: int
    delivered: int
    dead_letters: int
