"""Changes of entities: what was read for one must still hold when it is committed.

Every change replaces the token of its workflow (``keys.entities_state``), on the condition that
nobody else did since it began to read. That covers what a condition on single keys cannot, such as
that no step uses a handler. A change that loses its race is planned again.
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

T = TypeVar("T")

#: Each time that a change loses its race another one wins: many suffice for many editors.
ATTEMPTS: Final = 20
#: Who has lost waits for up to this, so that the same one does not lose to all others in turn.
PAUSE_S: Final = 0.01


def change(store: Store, workflow: str, plan: Callable[[], tuple[list[Write], T]]) -> T:
    """Commit what ``plan`` returns, if no entity of the workflow changed since it began to read.

    The token of a workflow that is deleted stays, so that one that comes back has another one.

    Returns:
        The other thing that ``plan`` returned. Nothing is committed when it wants no writes.

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


def _next_state(key: str, current: Entry | None) -> Write:
    token = secrets.token_hex(8).encode()
    if current is None:
        return Create(key, token)
    return Replace(key, token, current.revision)
