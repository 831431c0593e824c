"""A made-up world of handlers: what each item maps to, and what must come out in the end.

A tree is drawn from a seed: an item is ``[key, [depth, seed]]``; its mapper returns a few pairs
or maps on to a few items one level deeper. Reducers sum. The expected result is computed by plain
recursion, without any of the machinery under test.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from thespian.actors import ActorAddress

from jobx import entity_json, model, values
from jobx.actors.messages import Submit
from jobx.kv import keys
from jobx.kv.store import Put, Write
from jobx.payload import Payload, pack_offsets

MAX_DEPTH = 3


@dataclass(frozen=True)
class World:
    """What handlers do, drawn from a seed."""

    seed: int
    breadth: int

    def outcome(self, value: Any) -> tuple[str | None, list[list[Any]]]:
        """Return the step that an item maps to (None: it returns) and the pairs it yields."""
        depth, seed = value
        rng = random.Random(f"{self.seed}/{depth}/{seed}")
        if depth == MAX_DEPTH or rng.random() < 0.35:
            count = rng.choice((0, 1, 3))
            return None, [[rng.choice("abcde"), rng.randrange(10)] for _ in range(count)]
        count = rng.choice((0, 1, 2, self.breadth))
        return f"s{depth + 1}", [[k, [depth + 1, rng.randrange(1 << 30)]] for k in range(count)]

    def expected(self) -> dict[str, int]:
        """Return what the root's reducer must give."""
        total: Counter[str] = Counter()
        for step, pairs in self._outcomes():
            if step is None:
                for key, value in pairs:
                    total[key] += value
        return dict(total)

    def count(self) -> tuple[int, int]:
        """Return how many mappers return, and how many map on."""
        steps = [step for step, _ in self._outcomes()]
        leaves = steps.count(None)
        return leaves, len(steps) - leaves

    def _outcomes(self) -> Iterator[tuple[str | None, list[list[Any]]]]:
        waiting = [[0, self.seed]]
        while waiting:
            step, pairs = self.outcome(waiting.pop())
            yield step, pairs
            if step is not None:
                waiting += (value for _, value in pairs)


def plan(attempts: int, **required: str) -> model.Plan:
    """Return a plan of one step a level.

    Args:
        attempts: How often each handler may be tried.
        required: Capabilities that mappers require, by their steps.
    """
    retry = model.Retry(attempts=attempts, backoff_s=0.01)
    return model.Plan(
        steps={
            f"s{depth}": model.PlanStep(
                mapper=model.HandlerRef(
                    handler_name=f"m{depth}",
                    version=f"m{depth}",
                    retry=retry,
                    required_capability=required.get(f"s{depth}", "general"),
                ),
                combiner=model.HandlerRef(handler_name="total", version="total", retry=retry),
                reducer=model.HandlerRef(
                    handler_name="sum", version="sum", per_key=True, retry=retry
                ),
            )
            for depth in range(MAX_DEPTH + 1)
        }
    )


def items(inline: bytes) -> list[Any]:
    """Return the items of a chunk."""
    stream = values.unpacker(max_bytes=1 << 20)
    stream.feed(inline)
    return list(stream)


def chunk(pairs: list[list[Any]]) -> tuple[Payload, str]:
    """Return pairs as a chunk, and its digest."""
    packed = [values.pack(pair) for pair in pairs]
    ends, end = [], 0
    for item in packed:
        end += len(item)
        ends.append(end)
    body = b"".join(packed)
    digest = hashlib.blake2b(body, digest_size=8).hexdigest()
    return Payload(len(packed), len(body), body, offsets=pack_offsets(ends)), digest


def run_of(totals: dict[str, list[int]]) -> bytes:
    """Return grouped pairs as a run."""
    return b"".join(values.pack([key, totals[key]]) for key in sorted(totals))


def submission(
    world: World,
    plan: model.Plan,
    request: model.Request,
    writes: Iterable[Write],
    reply_to: ActorAddress,
    *,
    time_limit_s: float = 100_000.0,
    **more: Any,
) -> Submit:
    """Return what asks for a request of a world.

    Args:
        world: Its handlers.
        plan: Its plan.
        request: Itself.
        writes: Of its entity; those of its plan are added.
        reply_to: Hears of it.
        time_limit_s: How long it may take.
        more: Further fields.
    """
    arguments, _ = chunk([[["seed", [0, world.seed]]]])
    return Submit(
        request=request,
        step="s0",
        plan_digest="p",
        plan=plan,
        arguments=arguments,
        time_limit_s=time_limit_s,
        writes=(Put(keys.plan(request.workflow_name, "p"), entity_json.encode(plan)), *writes),
        reply_to=reply_to,
        **more,
    )
