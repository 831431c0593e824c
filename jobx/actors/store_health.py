"""Whether a node's store is its own and undamaged, and whether it can be written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobx.actors import notification
from jobx.actors.notification import Notification
from jobx.actors.threads import in_daemon
from jobx.errors import JobxError
from jobx.kv import data_folder
from jobx.kv.store import Store

#: A store up to this size is checked at each start, a larger one behind it.
CHECKED_BYTES: Final = 64 << 20
#: When a larger one is, as it takes a while and the disk.
CHECK_AFTER_S: Final = 60.0

_log = logging.getLogger(__name__)


class StoreHealth:
    """Checks a store and tells people when it is ill.

    Args:
        node_id: The node.
        store: What is checked.
        notify: Hears of damage, when nothing can be written, and when it can be again.
    """

    def __init__(self, node_id: str, store: Store, notify: Callable[[Notification], None]) -> None:
        self.trouble: str | None = None
        self._node_id = node_id
        self._store = store
        self._notify = notify

    async def check_later(self) -> None:
        """Look for damage in a store that is too large for that at a start."""
        await asyncio.sleep(CHECK_AFTER_S)
        try:
            if self._store.size_bytes() > CHECKED_BYTES:
                await in_daemon("store-check", self._store.check)
        except JobxError as error:
            self.trouble = str(error)
            _log.error("the check of the store failed: %s", error)
            self._notify(notification.store_damaged(self._node_id, error))

    def tell(self, fault: JobxError | None) -> None:
        """Tell that nothing can be written, or, with None, that it can be again."""
        if fault is None:
            _log.warning("the store takes writes again")
            self._notify(notification.store_back(self._node_id))
        else:
            _log.error("the store takes no writes, and new requests are refused: %s", fault)
            self._notify(notification.store_stalled(self._node_id, fault))


def check_at_start(store: Store, data_dir: Path, name: str) -> None:
    """Refuse a store that is not the folder's, or is damaged; blocks."""
    data_folder.confirm_store(store, data_dir, name)
    if store.size_bytes() <= CHECKED_BYTES:
        store.check()
