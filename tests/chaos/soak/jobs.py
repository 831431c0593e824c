"""The jobs of the soak: their handlers, and what each must give for which arguments."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from jobx.model import Retry
from tests.support.languages import EXECUTABLE, JAVASCRIPT, PYTHON, WASM, Language

Arguments: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """How a request must fail."""

    kind: str
    type: str


#: The pairs of a result, or how it fails.
Expected: TypeAlias = list[Any] | Failed


@dataclass(frozen=True)
class Job:
    """One kind of work.

    Attributes:
        weight: How often it is asked for, against the others.
        draw: Makes arguments.
        expect: What those must end with.
        mapper: Its mapper's source; a Language has its own ``letters``.
        reducer: The source of its reducer.
        combiner: The source of its combiner, if any.
        options: Further fields of the mapper.
        writer: The result writer of the job.
        steps: Further steps, by name: mapper and its options.
        prints: What the output of its first mapper has, for which arguments.
    """

    weight: float
    draw: Callable[[random.Random], Arguments]
    expect: Callable[[Arguments], Expected]
    mapper: str
    reducer: str = "def handler(key, values):\n    yield key, sum(values)\n"
    combiner: str | None = None
    language: str = "python"
    options: Mapping[str, Any] | None = None
    writer: str | None = None
    steps: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None


FIRST = "def handler(key, values):\n    yield key, values[0]\n"
LEAF = """
def handler(key, value):
    yield Return()
    yield "sum", value
"""
#: Fails at first, now and then.
SHAKY_LEAF = """
def handler(key, value):
    yield Return()
    if key % 50 == 7 and INVOCATION.attempt == 1:
        raise OSError("not at first")
    yield "sum", value
"""


def pattern(seed: int, size: int) -> str:
    """Return text of a size that its seed decides."""
    block = hashlib.sha256(str(seed).encode()).hexdigest()
    return (block * (size // len(block) + 1))[:size]


PATTERN_SOURCE = """
import hashlib
def pattern(seed, size):
    block = hashlib.sha256(str(seed).encode()).hexdigest()
    return (block * (size // len(block) + 1))[:size]
"""


def _n(low: int, high: int) -> Callable[[random.Random], Arguments]:
    return lambda rng: {"n": rng.randint(low, high)}


def _sized(low: int, high: int) -> Callable[[random.Random], Arguments]:
    """Sizes over all magnitudes: as many small ones as large ones."""

    def draw(rng: random.Random) -> Arguments:
        size = int(low * (high / low) ** rng.random())
        return {"seed": rng.randrange(1 << 30), "size": size}

    return draw


def _text(rng: random.Random) -> Arguments:
    return {"text": "".join(rng.choices("abcdefgh", k=rng.randint(1, 60)))}


def _letters(arguments: Arguments) -> Expected:
    counts: Counter[str] = Counter(arguments["text"])
    return [[letter, count] for letter, count in sorted(counts.items())]


def _language(language: Language, weight: float) -> Job:
    return Job(
        weight=weight,
        draw=_text,
        expect=_letters,
        mapper=language.letters,
        reducer=language.add_up,
        language=language.name,
        options={"argument_spec": (("text", "str"),)},
    )


def _sum_of(n: int) -> int:
    return n * (n - 1) // 2


def _digest(arguments: Arguments) -> Expected:
    body = arguments["body"]
    return [["digest", hashlib.sha256(body.encode()).hexdigest()], ["size", len(body)]]


def _body(rng: random.Random) -> Arguments:
    size = int(100 * 40_000 ** rng.random())
    return {"body": pattern(rng.randrange(1 << 30), size)}


_ONE = """
def handler(arguments):
    yield Return()
    for key in range(10):
        yield key, arguments["n"] + key
"""


def _one(arguments: Arguments) -> Expected:
    return [[key, arguments["n"] + key] for key in range(10)]


_BIG = (
    PATTERN_SOURCE
    + """
def handler(seed, size):
    yield Return()
    yield "text", pattern(seed, size)
"""
)
_SEEDED: Final = {"argument_spec": (("seed", "int"), ("size", "int"))}


def _big(arguments: Arguments) -> Expected:
    return [["text", pattern(arguments["seed"], arguments["size"])]]


JOBS: Final[dict[str, Job]] = {
    "one": Job(60, _n(0, 1000), _one, _ONE),
    "letters_python": _language(PYTHON, 6),
    "letters_javascript": _language(JAVASCRIPT, 3),
    "letters_executable": _language(EXECUTABLE, 2),
    "letters_wasm": _language(WASM, 2),
    "words_shell": Job(
        1,
        lambda rng: {"text": " ".join(rng.choices(["ant", "bee", "cat", "dog"], k=20))},
        lambda arguments: [
            [word, count] for word, count in sorted(Counter(arguments["text"].split()).items())
        ],
        "#!/bin/sh\ncut -f 2 | tr ' ' '\\n' | sort | uniq -c | awk '{ print $2 \"\\t\" $1 }'\n",
        language="shell",
    ),
    # More than a chunk, so that its mapper is kept suspended while its children run.
    "wide": Job(
        1,
        _n(900, 2500),
        lambda arguments: [["sum", _sum_of(arguments["n"])]],
        "def handler(n):\n    yield Map('wide_leaf')\n    for k in range(n):\n        yield k, k\n",
        options={"argument_spec": (("n", "int"),)},
        steps={"wide_leaf": (SHAKY_LEAF, {"retry": Retry(attempts=4, backoff_s=0.01)})},
    ),
    "narrow": Job(
        6,
        _n(0, 40),
        lambda arguments: [["sum", _sum_of(arguments["n"])]] if arguments["n"] else [],
        "def handler(n):\n    yield Map('leaf')\n    for k in range(n):\n        yield k, k\n",
        options={"argument_spec": (("n", "int"),)},
        steps={"leaf": (LEAF, {})},
    ),
    "deep": Job(
        3,
        _n(1, 7),
        lambda arguments: [["leaves", 2 ** arguments["n"]]],
        "def handler(n):\n    yield Map('level')\n    yield 'a', n - 1\n    yield 'b', n - 1\n",
        options={"argument_spec": (("n", "int"),)},
        steps={
            "level": (
                "def handler(key, value):\n"
                "    yield Map('level') if value else Return()\n"
                "    for name in 'ab' if value else ['leaves']:\n"
                "        yield name, value - 1 if value else 1\n",
                {},
            )
        },
    ),
    "combined": Job(
        5,
        _n(1, 3000),
        lambda arguments: [
            [key, (arguments["n"] - key + 6) // 7] for key in range(min(7, arguments["n"]))
        ],
        "def handler(n):\n    yield Return()\n    for k in range(n):\n        yield k % 7, 1\n",
        combiner="def handler(key, values):\n    yield key, sum(values)\n",
        options={"argument_spec": (("n", "int"),)},
    ),
    "session": Job(
        4,
        _n(1, 30),
        lambda arguments: [["sum", _sum_of(arguments["n"]) * (arguments["n"] + 3)]],
        "def handler(n):\n    S_SET('factor', n + 3)\n    yield Map('session_leaf')\n"
        "    for k in range(n):\n        yield k, k\n",
        reducer="def handler(key, values):\n    yield key, sum(values) * S_GET('factor')\n",
        options={"argument_spec": (("n", "int"),)},
        steps={"session_leaf": (LEAF, {})},
    ),
    "big": Job(2, _sized(1000, 6_000_000), _big, _BIG, FIRST, options=_SEEDED),
    "body": Job(
        2,
        _body,
        _digest,
        "import hashlib\ndef handler(body):\n    yield Return()\n    yield 'size', len(body)\n"
        "    yield 'digest', hashlib.sha256(body.encode()).hexdigest()\n",
        FIRST,
        options={"argument_spec": (("body", "str"),)},
    ),
    "keys": Job(
        1,
        _n(1, 20_000),
        lambda arguments: [[key, key * 3] for key in range(arguments["n"])],
        "def handler(n):\n    yield Return()\n    for k in range(n):\n        yield k, k * 3\n",
        options={"argument_spec": (("n", "int"),)},
    ),
    "retried": Job(
        3,
        _n(1, 3),
        lambda arguments: [["attempts", arguments["n"]]],
        "def handler(n):\n    yield Return()\n    if INVOCATION.attempt < n:\n"
        "        raise ConnectionError('not yet')\n    yield 'attempts', n\n",
        options={
            "argument_spec": (("n", "int"),),
            "retry": Retry(attempts=4, backoff_s=0.02, on=("ConnectionError",)),
        },
    ),
    "printing": Job(
        3,
        _n(0, 200),
        lambda arguments: [["lines", arguments["n"]]],
        "def handler(n):\n    yield Return()\n    for k in range(n):\n        print('line', k)\n"
        "    LOG.warning('%d lines', n)\n    yield 'lines', n\n",
        options={"argument_spec": (("n", "int"),)},
    ),
    "wrong": Job(
        3,
        _n(0, 1000),
        lambda _: Failed("author", "ZeroDivisionError"),
        "def handler(n):\n    yield Return()\n    yield 'a', n / 0\n",
        options={"argument_spec": (("n", "int"),)},
    ),
    "wrong_pair": Job(
        1,
        _n(0, 1000),
        lambda _: Failed("pair", "PairError"),
        "def handler(n):\n    yield Return()\n    yield n\n",
        options={"argument_spec": (("n", "int"),)},
    ),
    "too_long": Job(
        0.3,
        _n(0, 1000),
        lambda _: Failed("timeout", "HandlerTimeout"),
        "import time\ndef handler(n):\n    yield Return()\n    time.sleep(600)\n",
        options={"argument_spec": (("n", "int"),), "time_limit_s": 0.3},
    ),
    "crash_once": Job(
        0.5,
        _n(0, 1000),
        lambda arguments: [["n", arguments["n"]]],
        "import os\ndef handler(n):\n    yield Return()\n    if INVOCATION.attempt == 1:\n"
        "        os.abort()\n    yield 'n', n\n",
        options={"argument_spec": (("n", "int"),)},
    ),
    "crash": Job(
        0.1,
        _n(0, 1000),
        lambda _: Failed("crash", ""),
        "import os\ndef handler(n):\n    os.kill(os.getpid(), 9)\n",
        options={"argument_spec": (("n", "int"),)},
    ),
    "posted": Job(3, _n(0, 1000), _one, _ONE, writer="http"),
    "filed": Job(3, _n(0, 1000), _one, _ONE, writer="file"),
    "filed_big": Job(
        0.5, _sized(1000, 3_000_000), _big, _BIG, FIRST, options=_SEEDED, writer="file"
    ),
    # What clients cancel.
    "sleepy": Job(
        1,
        _n(0, 1000),
        lambda arguments: [["n", arguments["n"]]],
        "import time\ndef handler(n):\n    yield Return()\n    time.sleep(1.0)\n    yield 'n', n\n",
        options={"argument_spec": (("n", "int"),)},
    ),
}
