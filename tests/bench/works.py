"""Which works there are, how large, and who does them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: JobX with each of its stores.
_STORES: Final = ("jobx", "jobx_etcd", "jobx_etcd2")
PEERS: Final = (*_STORES, "pool", "ray", "dask", "celery", "dramatiq", "dbos")
#: Who does a part of what JobX does, with nothing around it: nobody who does it all is quicker.
FLOORS: Final = ("hello", "commit", "skeleton", "copy", "sort")
#: Who has operators of its own for some works, and keeps nothing.
ENGINES: Final = ("polars", "duckdb")
EVERYBODY: Final = (*PEERS, *FLOORS, *ENGINES)
#: Processes that do the work, at every peer.
PROCESSES: Final = 2
CLIENTS: Final = 16
#: Size of a large argument or result.
LARGE_BYTES: Final = 8_000_000
#: Handlers of each workflow where there are many workflows.
HANDLERS: Final = 10

#: Who does a work: all, the measure of what is possible, or only JobX; and floors.
WORKS: Final[Mapping[str, tuple[str, ...]]] = {
    "one": (*PEERS, "commit"),
    "http_one": (*_STORES, "hello", "commit", "skeleton"),
    "16": PEERS,
    "http_16": (*_STORES, "hello", "commit", "skeleton"),
    "argument_8mb": ("jobx", "copy"),
    "result_8mb": ("jobx", "copy"),
    "first_post": ("jobx",),
    "fanout": PEERS,
    "wide_fanout": ("jobx",),
    "wordcount": (*PEERS, *ENGINES),
    "wordcount_pairs": ("jobx", "pool"),
    "reduce_keys": ("jobx", "pool", "sort", *ENGINES),
    "idle": _STORES,
}

#: Works that take seconds: all peers do them several times in turns, and the median counts.
IN_ROUNDS: Final = frozenset(
    {
        *("one", "http_one", "16", "http_16", "argument_8mb", "result_8mb"),
        *("fanout", "wordcount", "wordcount_pairs"),
    }
)
#: Works that are asked for over HTTP, where a peer has this door and another.
_OVER_HTTP: Final = frozenset({"http_one", "http_16", "argument_8mb", "result_8mb", "first_post"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of each work is done.

    Attributes:
        rounds: Turns of the works that are done in rounds.
        repeats: How often a longer work is repeated in one process.
        requests: Requests of one client, after ``warm_requests``.
        warm_requests: Requests before anything is measured, for each client.
        large: Requests with a large argument or result, after one before anything is measured.
        workflows: Workflows that are asked for the first time.
        load_s: How long several clients send requests.
        fanout: Invocations of one request.
        wide_fanout: The same, for JobX alone.
        text_mb: Size of the text whose words are counted.
        children: Mappers whose keys are reduced.
        keys: Keys of each.
        idle_s: How long nothing is done.
    """

    rounds: int
    repeats: int
    requests: int
    warm_requests: int
    large: int
    workflows: int
    load_s: float
    fanout: tuple[int, ...]
    wide_fanout: tuple[int, ...]
    text_mb: int
    children: int
    keys: int
    idle_s: float


FULL: Final = Sizes(
    rounds=3,
    repeats=3,
    requests=200,
    warm_requests=20,
    large=20,
    workflows=400,
    load_s=3.0,
    fanout=(1_000, 10_000),
    wide_fanout=(100_000, 1_000_000, 10_000_000),
    text_mb=64,
    children=100,
    keys=100_000,
    idle_s=10.0,
)
QUICK: Final = Sizes(
    rounds=1,
    repeats=1,
    requests=100,
    warm_requests=10,
    large=5,
    workflows=20,
    load_s=1.0,
    fanout=(1_000,),
    wide_fanout=(10_000, 50_000),
    text_mb=4,
    children=10,
    keys=50_000,
    idle_s=3.0,
)


def module(peer: str, work: str) -> str:
    """Return the module of a peer that does a work: JobX has one for each of its doors."""
    is_http = work in _OVER_HTTP and peer in _STORES
    return f"tests.bench.peers.{peer}_http_peer" if is_http else f"tests.bench.peers.{peer}_peer"
