"""Lists of requests and their counts, over every store, against a plain model.

The model is a dictionary. What is done is drawn by seed: requests begin, end, expire, are removed
by two at once, and counters are added up by two at once, in between reads of the same thing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from jobx.errors import Conflict
from jobx.kv.requests import kept_requests, removal, request_counts, request_entity, request_pages
from jobx.kv.requests.lives import Mark
from jobx.kv.requests.request_filter import Filter, argument_digests, make_filter
from jobx.kv.store import Store, Write
from jobx.model import Failure, Request
from tests.support.stores import ALL_KINDS, OpenStore

AT: Final = 1_700_000_000.0
STATES: Final = ("succeeded", "failed", "cancelled")
JOBS: Final = ("a", "ab", "b")
NODES: Final = ("n", "n.2")
ERRORS: Final = ("KeyError", "é/..\0" * 200, "KeyError ")
VALUES: Final = (1, "1", True, None, "x" * 5000, "é/", 1.5)
#: Steps by kind of store; those on other processes are slow.
STEPS: Final = {"memory": 400, "sqlite": 300, "large_events": 100}
FEW: Final = 60


class Model:
    """Requests as a dictionary, and the same in a store."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.draw = random.Random(seed)
        self.requests: dict[str, Request] = {}
        self.removed: list[kept_requests.FinishedRequest] = []
        self.number = 0

    def begin(self) -> None:
        self.number += 1
        at = AT + self.number * 60.0
        draw = self.draw
        given = {name: draw.choice(VALUES) for name in ("n", "list") if draw.random() < 0.7}
        digests = argument_digests(("n", "list"), given)
        request = Request(
            workflow_name="flow",
            request_id=request_entity.new_id(at, draw.randbytes(10)),
            job_name=draw.choice(JOBS),
            invocation_id="m0",
            accepted_at=at + 0.01,
            coordinator=draw.choice(NODES),
            **({"search": digests} if digests else {}),
        )
        self.store.commit(request_entity.accept_writes(request, request.coordinator or ""))
        self.requests[request.request_id] = request

    def end(self) -> None:
        request = self._any(is_done=False)
        if request is None:
            return
        state = self.draw.choice(STATES)
        failure = Failure(kind="author", type=self.draw.choice(ERRORS), message="")
        done = replace(
            request,
            state=state,
            is_done=True,
            finished_at=AT + self.number,
            failure=None if state == "succeeded" else failure,
        )
        writes = request_entity.finish_writes(done, request.coordinator or "", "p" * 20, 1)
        self.store.commit(writes)
        self.requests[done.request_id] = done

    def adopt(self) -> None:
        request = self._any(is_done=False)
        if request is None:
            return
        other = replace(request, coordinator=self.draw.choice(NODES))
        if other != request:
            mark = Mark(life=7, events=2)
            writes = request_entity.adopt_writes(other, request.coordinator or "", mark)
            self.store.commit(writes)
            self.requests[other.request_id] = other

    def expire(self) -> None:
        found = kept_requests.expired(self.store, AT + self.draw.randrange(self.number + 1), 5)
        self._purge(found)
        self.removed = found

    def expire_again(self) -> None:
        """Remove what was removed before, as a node does that stood still meanwhile."""
        self._purge(self.removed)

    def clean(self) -> None:
        request = self._any(is_done=True)
        if request is not None:
            self._purge([kept_requests.find(self.store, request)])

    def postpone(self) -> None:
        request = self._any(is_done=True)
        if request is not None:
            kept = kept_requests.find(self.store, request)
            self.store.commit(kept_requests.postpone_writes(self.store, kept, AT + 1e6, 5.0))

    def fold(self) -> None:
        request_counts.fold(self.store)

    def _purge(self, found: list[kept_requests.FinishedRequest]) -> None:
        chains = [self._removal(one) for one in found]
        for one, outcome in zip(found, self.store.commit_many(chains), strict=True):
            assert outcome.error is None or isinstance(outcome.error, Conflict)
            if outcome.error is None:
                self.requests.pop(one.request_id, None)

    def _removal(self, one: kept_requests.FinishedRequest) -> list[list[Write]]:
        """Return a removal at once, one that hides first, or one that dies after that."""
        whole = [removal.hide_writes(one), removal.purge_writes(removal.hidden(one))]
        return self.draw.choice(([removal.purge_writes(one)], whole, whole[:1]))

    def _any(self, *, is_done: bool) -> Request | None:
        found = [one for _, one in sorted(self.requests.items()) if one.is_done == is_done]
        return self.draw.choice(found) if found else None

    def step(self) -> None:
        draw = self.draw.choices(
            (self.begin, self.end, self.adopt, self.expire, self.expire_again, self.clean,
             self.postpone, self.fold),
            (9, 8, 2, 1, 1, 1, 1, 2),
        )  # fmt: skip
        draw[0]()

    def check(self, filters: list[dict[str, Any]]) -> None:
        for given in filters:
            wanted = make_filter("flow", now_at=AT, **given)
            expected = [
                request_id
                for request_id in sorted(self.requests, reverse=True)
                if wanted.fits(self.requests[request_id])
            ]
            assert self._walk(wanted) == expected, given
        self.check_counts()

    def check_counts(self) -> None:
        ended = [one for one in self.requests.values() if one.is_done]
        expected: dict[str, Counter[str]] = {}
        for one in ended:
            expected.setdefault(one.job_name, Counter())[one.state] += 1
        found = request_counts.read(self.store, "flow")
        assert {job: one for job, one in found.items() if one} == expected
        for job in JOBS:
            assert request_counts.read(self.store, "flow", job).get(job, {}) == expected.get(
                job, {}
            )
        running = Counter(one.job_name for one in self.requests.values() if not one.is_done)
        assert request_entity.running(self.store, "flow") == running

    def _walk(self, wanted: Filter) -> list[str]:
        found: list[str] = []
        after: str | None = None
        while True:
            limit = self.draw.choice((1, 3, 50))
            page, after = request_pages.page(self.store, "flow", wanted, after=after, limit=limit)
            found += [one.request_id for one in page]
            assert len(page) <= limit
            if after is None:
                return found


def filters(draw: random.Random) -> Iterator[dict[str, Any]]:
    """Yield filters of every kind, and some of several."""
    yield {}
    for state in (*STATES, "running"):
        yield {"state": state}
    for name, given in (("job", JOBS), ("error", ERRORS), ("since", TIMES), ("until", TIMES)):
        yield {name: draw.choice(given)}
    for _ in range(12):
        found: dict[str, Any] = {"job": draw.choice(JOBS)}
        if draw.random() < 0.5:
            found["search"] = {"n": draw.choice(VALUES)}
        if draw.random() < 0.3:
            found["search"] = {"n": draw.choice(VALUES), "list": draw.choice(VALUES)}
        if draw.random() < 0.5:
            found["state"] = draw.choice((*STATES, "running"))
        if draw.random() < 0.3:
            found["error"] = draw.choice(ERRORS)
        if draw.random() < 0.3:
            found["since"] = draw.choice(TIMES)
        if draw.random() < 0.3:
            found["until"] = draw.choice(TIMES)
        yield found


TIMES: Final = ("2023-11-14T22:30:00Z", "2023-11-14T23:30:00Z", "2023-11-15T01:00:00.01Z", "1w")


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_lists_and_counts_are_those_of_a_plain_model(
    kind: str, open_store: OpenStore, tmp_path: Path
) -> None:
    steps = STEPS.get(kind, FEW)
    with closing(open_store(kind, tmp_path)) as store:
        model = Model(store, seed=steps)
        for number in range(steps):
            model.step()
            if number % 20 == 0:
                model.check_counts()
        model.check(list(filters(model.draw)))
        while request_counts.fold(store):
            pass
        model.check_counts()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_two_add_at_once_is_counted_once(
    kind: str, open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(kind, tmp_path)) as store:
        model = Model(store, seed=1)
        for _ in range(6):
            model.begin()
            model.end()
        real, calls = type(store).range, [0]

        def raced(self: Store, prefix: str, **how: Any) -> Any:
            """Let another node add the same changes behind each look at them."""
            found = real(self, prefix, **how)
            calls[0] += 1
            if prefix.startswith("uncounted/flow/") and calls[0] < 40:
                monkeypatch.setattr(type(store), "range", real)
                request_counts.fold(store)
                monkeypatch.setattr(type(store), "range", raced)
            return found

        monkeypatch.setattr(type(store), "range", raced)
        request_counts.fold(store)
        monkeypatch.undo()
        model.check_counts()
