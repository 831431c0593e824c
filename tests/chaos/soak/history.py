"""What the soak saw, and the one check of it: pure, so that a wrong history can be made by hand."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.soak.plan import Ask

#: Statuses that a POST of a good job may get while things fail, by what they say of the request.
NOTHING_BEGAN: Final = frozenset({503, 507})
MAY_EXIST: Final = frozenset({200, 202, 409, 500, 504})
#: Codes of 409 and 5xx that docs/http.md promises of a job, a result or a cancel.
KNOWN_CODES: Final = frozenset(
    {
        *("", "request-failed", "request-cancelled", "not-ended", "deadline-exceeded"),
        *("overloaded", "draining", "node-unreachable", "store-unavailable", "unavailable"),
        *("store-full", "store-refused", "outcome-unknown", "conflict", "node-lost"),
        "blob-unreadable",
    }
)


@dataclass(frozen=True)
class Attempt:
    """One exchange over HTTP; status 0: the connection broke or the answer did."""

    ask: int
    method: str
    status: int
    code: str = ""
    request_id: str | None = None
    has_retry_after: bool = False
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def is_accepted(self) -> bool:
        """Whether it says that its request exists; others name what may."""
        told = self.status in (200, 202) or self.code in ("request-failed", "not-ended")
        return told and self.request_id is not None

    @property
    def may_exist(self) -> bool:
        """Whether there may be a request because of it."""
        if self.method != "POST":
            return False
        nothing = self.status in NOTHING_BEGAN and self.request_id is None
        return not nothing and not 400 <= self.status < 409 and self.code != "not-found"


@dataclass(frozen=True)
class Ending:
    """What a client was told in the end.

    Attributes:
        state: ``succeeded``, ``failed`` or ``cancelled``.
        digest: Of the pairs of a result.
        kind: Of a failure; ``type`` and ``detail`` too.
    """

    ask: int
    request_id: str
    state: str
    digest: str = ""
    kind: str = ""
    type: str = ""
    detail: str = ""
    waited_s: float = 0.0


@dataclass(frozen=True)
class Delivered:
    """One thing that a receiver of results got, with the digest of its pairs."""

    delivery_id: str
    digest: str
    at: float


@dataclass(frozen=True)
class Stored:
    """A request that the store has in the end."""

    ask: int
    request_id: str
    state: str


@dataclass(frozen=True)
class Struck:
    """A fault that was there from one monotonic instant to another."""

    fault: str
    began_at: float
    ended_at: float


@dataclass(frozen=True)
class Violation:
    """Something that must not be."""

    kind: str
    detail: str


@dataclass
class History:
    """All that was seen. Clients append to it from their threads."""

    asks: dict[int, Ask] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    endings: dict[int, Ending] = field(default_factory=dict)
    given_up: dict[int, str] = field(default_factory=dict)
    #: By writer: ``http`` and ``file``.
    delivered: dict[str, list[Delivered]] = field(default_factory=lambda: {"http": [], "file": []})
    stored: list[Stored] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    #: Descriptors and bytes of memory of long-lived processes, after each round of quiet work.
    uses: list[dict[str, tuple[int, int]]] = field(default_factory=list)
    #: What the soak itself met: a server that ended, a start that failed, what was left behind.
    met: list[Violation] = field(default_factory=list)
    #: There are several nodes, and clients ask any of them.
    has_peers: bool = False


def check(history: History, workflow: str, writers: dict[str, str]) -> list[Violation]:
    """Return what must not be in a history.

    Args:
        history: All that was seen.
        workflow: The workflow of all its requests.
        writers: The result writer of each job that has one.
    """
    return [
        *history.met,
        *_stuck(history),
        *_wrong(history),
        *_doubled(history),
        *_lost(history),
        *_undocumented(history),
        *_undelivered(history, workflow, writers),
        *_delivered_twice(history),
    ]


def _name(ask: Ask) -> str:
    return f"ask {ask.number} ({ask.job}, {ask.manner})"


def _stuck(history: History) -> Iterator[Violation]:
    for number, ask in history.asks.items():
        if number not in history.endings:
            why = history.given_up.get(number, "nothing was heard of it")
            yield Violation("stuck", f"{_name(ask)} has no end: {why}")
    for stored in history.stored:
        if stored.state == "running":
            yield Violation("stuck", f"request {stored.request_id} still runs in the store")


def _wrong(history: History) -> Iterator[Violation]:
    for number, ending in history.endings.items():
        ask = history.asks[number]
        told = f"{_name(ask)}, request {ending.request_id}: {ending.state}"
        if ending.state == "succeeded" and ending.digest != ask.digest:
            yield Violation("wrong", f"{told} with other pairs: {ending.detail}")
        elif ending.state == "failed" and not _fails_so(ask, ending):
            yield Violation("wrong", f"{told}: {ending.kind} {ending.type} {ending.detail}")
        elif ending.state == "cancelled" and ask.manner != "cancel":
            yield Violation("wrong", f"{told}, and nobody asked for that")


def _fails_so(ask: Ask, ending: Ending) -> bool:
    must = ask.failing
    return must is not None and must.kind == ending.kind and must.type in ("", ending.type)


def _doubled(history: History) -> Iterator[Violation]:
    """Of one key there is one request; without a key, one for each POST that may have begun it."""
    found: dict[int, set[str]] = defaultdict(set)
    may_exist: Counter[int] = Counter()
    for attempt in history.attempts:
        may_exist[attempt.ask] += attempt.may_exist
        if attempt.request_id and attempt.is_accepted:
            found[attempt.ask].add(attempt.request_id)
    for stored in history.stored:
        found[stored.ask].add(stored.request_id)
    for number, ids in found.items():
        ask = history.asks.get(number)
        if ask is None:
            yield Violation("doubled", f"requests {sorted(ids)} are of nobody")
        elif len(ids) > (1 if ask.key else max(1, may_exist[number])):
            yield Violation("doubled", f"{_name(ask)} has requests {sorted(ids)}")


def _lost(history: History) -> Iterator[Violation]:
    """What was accepted is found again, and what is not found is never accepted later."""
    accepted: dict[str | None, float] = {}
    for attempt in history.attempts:
        if attempt.is_accepted:
            accepted.setdefault(attempt.request_id, attempt.ended_at)
    for attempt in history.attempts:
        if attempt.method == "GET" and attempt.status == 404 and attempt.request_id in accepted:
            after_s = attempt.ended_at - accepted[attempt.request_id]
            if after_s < 0 and history.has_peers:
                continue  # another node was asked, which does not know what is under way
            when = f"{abs(after_s):.1f} s {'before' if after_s < 0 else 'after'} it was accepted"
            told = f"{_name(history.asks[attempt.ask])}: request {attempt.request_id}"
            yield Violation("lost", f"{told} is not found, {when}")


def _undocumented(history: History) -> Iterator[Violation]:
    seen: Counter[str] = Counter()
    first: dict[str, int] = {}
    for attempt in history.attempts:
        if attempt.status in (0, 404) or _is_documented(attempt):
            continue
        told = f"{attempt.method} was answered {attempt.status} {attempt.code}"
        if attempt.status == 503 and not attempt.has_retry_after:
            told += " without Retry-After"
        seen[told] += 1
        first.setdefault(told, attempt.ask)
    for told, count in seen.items():
        ask = history.asks[first[told]]
        yield Violation("status", f"{told}, {count} times, first to {_name(ask)}")


def _is_documented(attempt: Attempt) -> bool:
    if attempt.status == 503 and not attempt.has_retry_after and attempt.request_id is None:
        return False
    known = attempt.status in MAY_EXIST | NOTHING_BEGAN | {204}
    return known and attempt.code in KNOWN_CODES


def _undelivered(history: History, workflow: str, writers: dict[str, str]) -> Iterator[Violation]:
    got = {
        writer: {one.delivery_id: one.digest for one in delivered}
        for writer, delivered in history.delivered.items()
    }
    for number, ending in history.endings.items():
        ask = history.asks[number]
        writer = writers.get(ask.job)
        if writer is None or ending.state != "succeeded":
            continue
        found = got[writer].get(f"{workflow}/{ending.request_id}")
        if found is None:
            yield Violation("undelivered", f"{_name(ask)}: request {ending.request_id}")
        elif found != ask.digest:
            yield Violation("wrong", f"{_name(ask)}: what was delivered has other pairs")


def _delivered_twice(history: History) -> Iterator[Violation]:
    """A result comes twice only where something was struck between both."""
    times: dict[str, list[float]] = defaultdict(list)
    for one in history.delivered["http"]:
        times[one.delivery_id].append(one.at)
    for delivery_id, at in times.items():
        at.sort()
        for before, after in itertools.pairwise(at):
            if not _struck(history.struck, before, after):
                yield Violation("delivered twice", f"{delivery_id}, and nothing had happened")


def _struck(struck: Iterable[Struck], before: float, after: float) -> bool:
    # A try may have begun, and been noted, a while before its receiver had all of it.
    return any(one.began_at <= after and one.ended_at >= before - 5.0 for one in struck)
