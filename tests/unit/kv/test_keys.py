from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import product
from typing import Final

import pytest

from jobx.errors import EntryDamaged
from jobx.kv import keys

#: Names that look like parts of other keys.
NAMES: Final = ("a", "log", "workflow", "job", "0000000000", "local", "queues", "a.b", "-")

#: What builds each kind of key, of three names.
KINDS: Final[dict[str, Callable[[str, str, str], str]]] = {
    "workflow": lambda a, _, __: keys.workflow(a),
    **{
        f"entity {kind}": lambda a, b, _, kind=kind: keys.entity(kind, a, b)
        for kind in ("job", "step", "handler", "request")
    },
    "entities_state": lambda a, _, __: keys.entities_state(a),
    "code": lambda a, b, _: keys.code(a, b),
    "plan": lambda a, b, _: keys.plan(a, b),
    "event": lambda a, b, c: keys.event(a, b, len(c)),
    "opened": lambda a, b, c: keys.opened(a, b, c),
    "node": lambda a, _, __: keys.node(a),
    "call": lambda a, b, _: keys.call(a, b),
    "report": lambda a, _, __: keys.report(a),
    "CLUSTER": lambda *_: keys.CLUSTER,
    "life": lambda a, _, __: keys.life(a),
    "kept": lambda a, b, c: keys.kept(a, b, len(c), c),
    "kept_by": lambda a, b, c: keys.kept_by(a, b, keys.expiry(len(c)), c),
    "listed": lambda a, b, c: keys.listed(a, b, c),
    "by_job": lambda a, b, c: keys.by_job(a, b, "failed") + keys.newest_first(c),
    "by_error": lambda a, b, c: keys.by_error(a, b) + keys.newest_first(c),
    "by_argument": lambda a, b, c: keys.by_argument(a, b, b) + keys.newest_first(c),
    "counts": lambda a, b, _: keys.counts(a, b),
    "uncounted": lambda a, b, c: f"{keys.uncounted(a, b)}{c}+",
    "INDEXED": lambda *_: keys.INDEXED,
    "delivery": lambda a, b, _: keys.delivery(a, b),
    "unwanted": lambda a, b, _: keys.unwanted(a, b),
    "undelivered": lambda a, b, c: keys.undelivered(a, b, c),
    "idempotency": lambda a, b, c: keys.idempotency(a, b, c),
    "queues": lambda a, b, _: keys.queues(a) + b,
    "queue_items": lambda a, b, c: f"{keys.queue_items(a)}{b}/{c}",
    "trees": lambda a, b, _: keys.trees(a) + b,
    "tree_children": lambda a, b, c: f"{keys.tree_children(a)}{b}/{c}",
    "FINISHED": lambda a, b, c: f"{keys.FINISHED}{len(a):015d}/{b}/{c}",
    "STORE_ID": lambda *_: keys.STORE_ID,
    "PROBE": lambda *_: keys.PROBE,
    "BLOBS_PLACE": lambda *_: keys.BLOBS_PLACE,
    "SWEEPS": lambda *_: keys.SWEEPS,
}
#: Functions that return prefixes, and parts of keys.
PARTS: Final = {
    *("entities", "log", "kept_with", "instant", "newest_first", "request_id_of"),
    *("opened_by", "ended", "expiry", "EXPIRY", "PINNED", "names", "request_of"),
}


def _is_key(one: object) -> bool:
    return inspect.isfunction(one) or (isinstance(one, str) and not one.endswith("/"))


def test_every_kind_of_key_is_here() -> None:
    made = {name for name, _ in inspect.getmembers(keys, _is_key) if not name.startswith("_")}
    assert made <= {kind.partition(" ")[0] for kind in KINDS} | PARTS


@pytest.fixture(scope="module")
def made() -> set[str]:
    """Keys of all kinds, of all names."""
    return {build(*names) for names in product(NAMES, repeat=3) for build in KINDS.values()}


def test_no_key_is_a_file_where_another_one_needs_a_folder(made: set[str]) -> None:
    folders = {key.rsplit("/", depth)[0] for key in made for depth in range(1, key.count("/") + 1)}
    assert made.isdisjoint(folders)


def test_no_part_of_a_key_is_empty(made: set[str]) -> None:
    assert all(all(key.split("/")) for key in made)


def test_a_key_of_the_list_leads_to_its_request() -> None:
    assert keys.ended(keys.listed("w", "failed", "01arz3")) == ("w", "01arz3")


@pytest.mark.parametrize("key", ["listed/w", "listed/w/failed/r/more", "probe"])
def test_another_key_leads_to_no_request(key: str) -> None:
    assert keys.ended(key) is None


@pytest.mark.parametrize("key", ["kept", "kept/w", "kept/w/", "kept/w//id", "kept/w/p/e/id"])
def test_a_key_of_another_form_is_named(key: str) -> None:
    with pytest.raises(EntryDamaged, match=f"^entry {key} of the store: "):
        keys.names(key, 3)
    assert keys.names("kept/w/p/id", 3) == ["w", "p", "id"]
