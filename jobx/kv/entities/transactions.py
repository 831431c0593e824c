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
from typing import Final, TypeVar

from jobx.errors import Conflict
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

    The token of a deleted workflow stays, so that a new workflow of its name gets another token.

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


def check_size(store: Store, workflow: str, writes: list[Write]) -> None:
    """Raise TooLarge if one transaction of the store cannot have these writes."""
    unit = [*writes, _next_state(keys.entities_state(workflow), None)]
    error = too_large(unit, store.limits)
    if error is not None:
        raise error


def _next_state(key: str, current: Entry | None) -> Write:
    token = secrets.token_hex(8).encode()
    if current is None:
        return Create(key, token)
    return Replace(key, token, current.revision)
