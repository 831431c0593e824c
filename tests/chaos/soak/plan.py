"""What the soak does, decided by its seed alone: which asks, in which manner, and which faults."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from tests.chaos.soak.jobs import JOBS, Arguments, Failed

#: How a client asks: it waits; it polls; it leaves before the answer; it reads slowly; it sends the
#: same twice at once; it cancels; it sends half of a body first.
Manner: TypeAlias = Literal["wait", "poll", "leave", "slow", "twice", "cancel", "half"]
_MANNERS: Final[dict[Manner, float]] = {
    "wait": 70,
    "poll": 20,
    "leave": 4,
    "slow": 2,
    "twice": 3,
    "half": 1,
}
_KEYLESS: Final = 0.1
#: Numbers of asks from here on are made without faults, in the end.
QUIET: Final = 10**10
ACCEPTS: Final = ("application/json", "application/x-ndjson", "application/msgpack")

#: Each fault with its weight. ``kill`` and ``stop`` have a part of ``serve``.
PROCESS_FAULTS: Final = {
    "kill executor": 8.0,
    "kill fork server": 3.0,
    "kill web worker": 3.0,
    "kill web server": 1.0,
    "kill node": 3.0,
    "kill serve": 1.0,
    "kill all": 1.0,
    "restart": 1.0,
    "stop executor": 3.0,
    "stop fork server": 2.0,
    "stop web worker": 2.0,
    "stop web server": 1.0,
    "stop node": 2.0,
    "stop serve": 1.0,
}
MACHINE_FAULTS: Final = {
    "full disk": 2.0,
    "read-only": 1.0,
    "slow sync": 3.0,
    "failing sync": 1.0,
    "failing write": 1.0,
    "failing read": 1.0,
    "no descriptors": 1.0,
    "short writes": 1.0,
    "clock": 2.0,
}
FAULTS: Final = {**PROCESS_FAULTS, **MACHINE_FAULTS}
#: How long a fault lasts, in s.
LASTS_S: Final = (0.3, 1.0, 3.0, 8.0)


@dataclass(frozen=True)
class Ask:
    """One thing that a client wants done.

    Attributes:
        number: Its place in the plan; also in the request's context.
        key: Its Idempotency-Key; None: it has none, and is sent again only when nothing began.
    """

    number: int
    job: str
    arguments: Arguments
    manner: Manner
    key: str | None
    accept: str

    @property
    def failing(self) -> Failed | None:
        """How it must fail, or None."""
        expected = JOBS[self.job].expect(self.arguments)
        return expected if isinstance(expected, Failed) else None

    @property
    def digest(self) -> str | None:
        """The digest of the pairs that it must give; None where it must fail."""
        expected = JOBS[self.job].expect(self.arguments)
        return None if isinstance(expected, Failed) else digest(expected)


@dataclass(frozen=True)
class Strike:
    """A fault: it begins after a pause, and lasts for a while unless it just happens."""

    fault: str
    pause_s: float
    lasts_s: float
    #: Which of several processes, or how hard: 0 to 1.
    luck: float


def ask(seed: int, number: int, jobs: Sequence[str] = tuple(JOBS)) -> Ask:
    """Return the n-th ask of a plan."""
    rng = random.Random(f"{seed}/ask/{number}")
    job = rng.choices(jobs, [JOBS[name].weight for name in jobs])[0]
    manner = rng.choices(list(_MANNERS), list(_MANNERS.values()))[0]
    if job == "sleepy":
        manner = "cancel"
    may_repeat = manner in ("wait", "poll", "half")
    key = None if may_repeat and rng.random() < _KEYLESS else f"{seed}-{number}"
    arguments = JOBS[job].draw(rng)
    return Ask(number, job, arguments, manner, key, rng.choices(ACCEPTS, (6, 2, 2))[0])


def strikes(
    seed: int,
    faults: dict[str, float],
    mean_pause_s: float,
    lasts_s: Sequence[float] = LASTS_S,
    where: str = "",
) -> Iterator[Strike]:
    """Yield faults without end; each place has its own."""
    names, weights = list(faults), list(faults.values())
    rng = random.Random(f"{seed}/strikes{where}/{','.join(names)}")
    while names:
        fault = rng.choices(names, weights)[0]
        pause_s = rng.uniform(0.2, 2 * mean_pause_s)
        yield Strike(fault, pause_s, rng.choice(lasts_s), rng.random())


def digest(pairs: Any) -> str:
    """Return a digest of pairs as JSON."""
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]
