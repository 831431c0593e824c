"""The workflow ``texts``: jobs whose requests end as their arguments say.

``count`` counts the words of the argument ``text``; ``pairs`` gives as many pairs as ``count``
says; ``fail`` raises; ``slow`` goes on until it is cancelled.
"""

from __future__ import annotations

from typing import Final

from jobx.kv.store import Store
from tests.support import authoring

WORKFLOW: Final = "texts"
_COUNT: Final = """
def handler(arguments):
    yield Return()
    for word in arguments["text"].split():
        yield word, 1
"""
_PAIRS: Final = """
def handler(arguments):
    yield Return()
    for number in range(arguments["count"]):
        yield number, arguments.get("value", number)
"""
_FAIL: Final = """
def handler(arguments):
    raise ValueError("no such word")
"""
_SLOW: Final = """
import time
def handler(arguments):
    yield Return()
    time.sleep(600)
    yield "k", 1
"""
_LIST: Final = """
def handler(key, values):
    for value in values:
        yield key, value
"""
HANDLERS: Final = {"count": _COUNT, "pairs": _PAIRS, "fail": _FAIL, "slow": _SLOW, "list": _LIST}
STEPS: Final = {
    "count": ("count", "sum"),
    "pairs": ("pairs", "list"),
    "fail": ("fail", "sum"),
    "slow": ("slow", "sum"),
}


def write(store: Store) -> None:
    """Create the workflow in a store."""
    authoring.write(store, HANDLERS, STEPS, WORKFLOW)
