"""A real node: what handlers may do on it, and what they may not."""

from __future__ import annotations

import pytest

from jobx.actors.request.state import PARTITIONS
from jobx.views import TraceNode
from tests.support.authoring import ANSWER, COUNT, FAN
from tests.support.live_node import Start, failure_of, pairs_of, trace_of


def test_named_combiner_is_an_invocation_of_its_own(start: Start) -> None:
    combiner = "def handler(key, values):\n    yield key, sum(values) * 10\n"
    node = start({"one": ANSWER, "ten": combiner}, {"one": ("one", "ten", "sum")})

    outcome = node.post("one", {})

    assert pairs_of(outcome) == [("answer", 420)]
    kinds = kinds_of(trace_of(node, outcome))
    assert sorted(kinds) == [(k, "succeeded") for k in ("combine", "map", "reduce")]


def test_default_combiner_groups_by_key_and_is_no_invocation(start: Start) -> None:
    pairs = """
def handler(arguments):
    yield Return()
    yield from [("b", 1), ("a", 2), ("b", 3)]
"""
    listing = "def handler(key, values):\n    yield key, list(values)\n"
    node = start({"pairs": pairs, "listing": listing}, {"pairs": ("pairs", "listing")})

    outcome = node.post("pairs", {})

    assert pairs_of(outcome) == [("a", [2]), ("b", [1, 3])]
    kinds = kinds_of(trace_of(node, outcome))
    assert sorted(kinds) == [("map", "succeeded"), ("reduce", "succeeded")]


def test_reducer_reads_the_session_of_its_mapper(start: Start) -> None:
    fan = FAN.replace("    yield Map", "    S_SET('factor', 7)\n    yield Map")
    reducer = "def handler(key, values):\n    yield key, sum(values) * S_GET('factor')\n"
    node = start(
        {"fan": fan, "each": COUNT, "times": reducer},
        {"fan": ("fan", "times"), "each": ("each", "sum")},
    )

    assert pairs_of(node.post("fan", {"n": 3})) == [("n", 21)]


def test_mapper_is_kept_over_several_chunks(start: Start) -> None:
    node = start({"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})

    outcome = node.post("fan", {"n": 5000})

    assert pairs_of(outcome) == [("n", 5000)]
    assert outcome.request.counts.mapped == 5001


def test_mappers_map_on_many_levels_deep(start: Start) -> None:
    chain = """
def handler(arguments):
    (n,) = [value for _, value in arguments]
    if n:
        yield Map("chain")
        yield "n", n - 1
    else:
        yield Return()
        yield "deep", 1
"""
    node = start({"chain": chain}, {"chain": ("chain", "sum")})

    outcome = node.post("chain", {"n": 500})

    assert pairs_of(outcome) == [("deep", 1)]
    assert outcome.request.counts.mapped == 501


@pytest.mark.parametrize(
    "body",
    ["yield Map('each')", "yield Return()", "return\n    yield", "yield MrConfigureToReturn()"],
)
def test_mapper_that_yields_no_pairs_leaves_an_empty_result(body: str, start: Start) -> None:
    source = f"def handler(arguments):\n    {body}\n"
    node = start(
        {"none": source, "each": COUNT}, {"none": ("none", "sum"), "each": ("each", "sum")}
    )

    assert pairs_of(node.post("none", {})) == []


@pytest.mark.parametrize(
    ("body", "kind", "name"),
    [
        ("yield 1, 2", "protocol", "ProtocolError"),
        ("yield Map('nowhere')\n    yield 1, 2", "protocol", "UnknownStep"),
        ("yield Return()\n    yield {}, 2", "pair", "PairError"),
        ("yield Return()\n    yield 1, object()", "pair", "PairError"),
        ("yield Return()\n    yield float('nan'), 1", "pair", "PairError"),
    ],
)
def test_mapper_that_breaks_its_contract_fails_by_name(
    body: str, kind: str, name: str, start: Start
) -> None:
    node = start({"bad": f"def handler(arguments):\n    {body}\n"}, {"bad": ("bad", "sum")})

    failure = failure_of(node.post("bad", {}))

    assert (failure.kind, failure.type) == (kind, name)


def test_large_values_pass_every_border(start: Start) -> None:
    fan = FAN.replace("number, number", "number, arguments['text']")
    echo = "def handler(key, value):\n    yield Return()\n    yield 'text', value\n"
    longest = "def handler(key, values):\n    yield key, max(values)\n"
    node = start(
        {"fan": fan, "each": echo, "longest": longest},
        {"fan": ("fan", "longest"), "each": ("each", "longest")},
    )
    text = "x" * 5_000_000

    assert pairs_of(node.post("fan", {"n": 3, "text": text})) == [("text", text)]


def test_many_keys_are_spilled_and_reduced_in_parts(start: Start) -> None:
    fan = FAN.replace("each", "keys")
    keys = """
def handler(key, value):
    yield Return()
    for number in range(100_000):
        yield value * 100_000 + number, 1
"""
    node = start(
        {"fan": fan, "keys": keys},
        {"fan": ("fan", "sum"), "keys": ("keys", "sum")},
        executors__spill_bytes=4 << 20,
    )

    outcome = node.post("fan", {"n": 3})

    assert pairs_of(outcome) == [(key, 1) for key in range(300_000)]
    assert outcome.result is not None
    assert len(outcome.result.payloads) >= PARTITIONS


def test_mapper_with_a_thread_of_its_own_may_map_more_than_one_chunk(start: Start) -> None:
    pool = """
from concurrent.futures import ThreadPoolExecutor
def handler(arguments):
    with ThreadPoolExecutor(2) as pool:
        yield Map("each")
        for number in pool.map(int, range(3000)):
            yield number, number
"""
    node = start({"fan": pool, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})

    assert pairs_of(node.post("fan", {})) == [("n", 3000)]


def kinds_of(root: TraceNode) -> list[tuple[str, str]]:
    """Return kind and state of the invocations in a trace, parents first."""
    below = [pair for child in root.children for pair in kinds_of(child)]
    return [(root.kind, root.state), *below]
