"""Changes of entities: everything read for a change must still hold at its commit.

Every change replaces the token of its workflow (``keys.entities_state``), on the condition that
nobody replaced it since the change began to read. This covers what a condition on single keys
cannot, such as "no step uses this handler". A change that loses its race is planned again.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from itertools import chain
from typing import Final, TypeVar

from jobx.errors import Conflict, TooLarge
from jobx.kv import keys
from jobx.kv.store import Create, Entry, Replace, Store, Write
from jobx.kv.write_batch import too_large

T = TypeVar("T")

#: Tries of one change. Each time it loses a race another one wins, so these suffice.
ATTEMPTS: Final = 20
#: A change that lost waits for up to this, so that it does not lose to all others in turn.
PAUSE_S: Final = 0.01


def change(store: Store, workflow: str, plan: Callable[[], tuple[list[Write], T]]) -> T:
    """Commit the writes of ``plan``, if no entity of the workflow changed since it began to read.

    The token of a deleted workflow is removed later (``actors/record_sweep.py``). Tokens are
    random, so a new workflow of its name has another one in any case.

    Returns:
        The second item that ``plan`` returned. Without writes nothing is committed.

    Raises:
        Conflict: Others keep changing entities.
    """
    key = keys.entities_state(workflow)
    lost = Conflict(key)
    for _ in range(ATTEMPTS):
        state = store.get(key)
        writes, result = plan()
        if not writes:
            return result
        try:
            store.commit([*writes, _next_state(key, state)])
            return result
        except Conflict as conflict:
            lost = conflict
            time.sleep(random.uniform(0, PAUSE_S))  # noqa: S311 - no secret
    raise lost


def change_in_pieces(
    store: Store,
    workflow: str,
    left: Callable[[], list[tuple[T, list[Write]]]],
    tell: Callable[[list[T]], None] = lambda _: None,
) -> None:
    """Make changes, each as a whole, in pieces as large as the store takes them.

    What is left to do is looked up again only if somebody else has changed an entity in between.

    Args:
        store: The store.
        workflow: The workflow.
        left: Returns what is left, in order: each change with its writes.
        tell: Gets the changes of a piece once it is committed.

    Raises:
        Conflict: Others keep changing entities.
        TooLarge: One change is larger than a transaction of the store.
    """
    key = keys.entities_state(workflow)
    lost = Conflict(key)
    tries = 0
    while tries < ATTEMPTS:
        state = store.get(key)
        todo = left()
        size = len(todo)
        try:
            while todo:
                size, token = _commit_some(store, key, state, [item[1] for item in todo], size)
                tell([item[0] for item in todo[:size]])
                state, tries, todo = store.get(key), 0, todo[size:]
                if todo and (state is None or state.value != token):
                    raise Conflict(key)
            return
        except Conflict as conflict:
            lost = conflict
            tries += 1
            time.sleep(random.uniform(0, PAUSE_S))  # noqa: S311 - no secret
    raise lost


def check_size(store: Store, workflow: str, writes: list[Write]) -> None:
    """Raise TooLarge if one transaction of the store cannot have these writes."""
    unit = [*writes, _next_state(keys.entities_state(workflow), None)]
    error = too_large(unit, store.limits)
    if error is not None:
        raise error


def _commit_some(
    store: Store, key: str, state: Entry | None, todo: list[list[Write]], most: int
) -> tuple[int, bytes]:
    """Commit up to so many changes; return how many the store took, and the new token."""
    size = min(most, len(todo))
    while True:
        token = _next_state(key, state)
        try:
            store.commit([*chain.from_iterable(todo[:size]), token])
        except TooLarge:
            if size == 1:
                raise
            size //= 2
        else:
            return size, token.value


def _next_state(key: str, current: Entry | None) -> Create | Replace:
    token = secrets.token_hex(8).encode()
    if current is None:
        return Create(key, token)
    return Replace(key, token, current.revision)
