"""The code of handlers as executors get it, read from the store and kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from jobx import entity_json, model
from jobx.errors import EntryDamaged, NotFound
from jobx.kv import keys
from jobx.kv.entities.versions import version_of
from jobx.kv.store import Store
from jobx.work import LoadHandler

#: Decoded code in memory, by size of its source; the handler used last always stays.
CODE_CACHE_BYTES: Final = 8 << 20


class CodeCache:
    """Code by workflow and version; for any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._code: OrderedDict[str, LoadHandler] = OrderedDict()
        self._bytes = 0

    def code(self, workflow: str, version: str) -> LoadHandler:
        """Return a handler version as executors get it. Blocks.

        Raises:
            NotFound: The version is not in the store.
            EntryDamaged: The stored code is not that version.
        """
        known = self.known_code(workflow, version)
        if known is not None:
            return known
        key = keys.code(workflow, version)
        entry = self._store.get(key)
        if entry is None:
            raise NotFound("handler version", f"{workflow}/{version}")
        handler = entity_json.decode(model.Handler, f"handler {key}", entry.value)
        if version_of(handler) != version:
            raise EntryDamaged(key, "it is not the code that its name is a hash of")
        load = load_of(handler, version)
        self._keep_code(key, load)
        return load

    def known_code(self, workflow: str, version: str) -> LoadHandler | None:
        """Return what ``code`` returns if it is in memory, else None."""
        key = keys.code(workflow, version)
        with self._lock:
            if key in self._code:
                self._code.move_to_end(key)
            return self._code.get(key)

    def _keep_code(self, key: str, load: LoadHandler) -> None:
        with self._lock:
            if key in self._code:  # another thread also read it
                return
            self._code[key] = load
            self._bytes += len(load.source_code)
            while self._bytes > CODE_CACHE_BYTES and len(self._code) > 1:
                _, dropped = self._code.popitem(last=False)
                self._bytes -= len(dropped.source_code)


def load_of(handler: model.Handler, version: str) -> LoadHandler:
    """Return a handler as executors get it."""
    return LoadHandler(
        version,
        handler.handler_name,
        handler.workflow_name,
        handler.handler_type,
        handler.source_type,
        handler.source_code,
        list(handler.argument_spec),
        handler.per_key,
    )
