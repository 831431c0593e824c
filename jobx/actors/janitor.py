"""The janitor: removes what nobody needs any more. All it needs to know is in the store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from jobx import model
from jobx.actors.messages import RequestKey
from jobx.actors.request.events import Accepted, from_record
from jobx.config import FilesSettings
from jobx.errors import JobxError, NotFound, Unavailable
from jobx.handlers.files import opening
from jobx.kv import deliveries, keys, log, requests
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Delete, Store

#: Requests that are looked at at once, and batches of one round.
BATCH: Final = 200
MAX_BATCHES: Final = 100
#: How much longer a request is kept whose result is still on its way.
DELIVERY_S: Final = 600.0

_log = logging.getLogger(__name__)


class Janitor:
    """Removes expired requests, folders without a request, and code that no request needs.

    Args:
        store: Where requests are.
        blobs: Where their large values are.
        now_at: The wall clock: retention is promised to people.
    """

    def __init__(self, store: Store, blobs: BlobFolder, now_at: Callable[[], float]) -> None:
        self._store = store
        self._blobs = blobs
        self._now_at = now_at

    def sweep(self) -> int:
        """Remove expired requests; return how many. Blocks; run it in a thread."""
        removed = 0
        for _ in range(MAX_BATCHES):
            found = self._sweep_batch()
            removed += found
            if found < BATCH:
                break
        return removed

    def _sweep_batch(self) -> int:
        removed = 0
        now_at = self._now_at()
        for marker, workflow, request_id in requests.expired(self._store, now_at, BATCH):
            if deliveries.is_pending(self._store, workflow, request_id):
                later = now_at + DELIVERY_S
                self._store.commit(deliveries.postpone_writes(marker, later, workflow, request_id))
                continue
            remove(self._store, self._blobs, marker, RequestKey(workflow, request_id))
            removed += 1
        return removed

    def sweep_folders(self) -> int:
        """Remove blob folders whose request is gone; return how many. Run it at start."""
        removed = 0
        for workflow, request_id in self._blobs.requests():
            if self._store.get(keys.entity("request", workflow, request_id)) is None:
                self._blobs.remove(workflow, request_id)
                removed += 1
        return removed

    def sweep_files(self, settings: FilesSettings) -> int:
        """Remove shared files that their writers left unfinished; return how many.

        It may take long: run it in a thread of its own.

        Raises:
            Unavailable: Their store does not answer.
        """
        if not settings.location:
            return 0
        try:
            return opening.connect(settings).clean(self._now_at() - settings.temp_age_s)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unavailable(f"shared files were not cleaned: {reason}") from error

    def sweep_code(self) -> int:
        """Remove plans and handler versions that neither a handler nor an open request needs.

        Run it at start, before requests are taken. Returns how many keys were removed.
        """
        plans, versions = self._needed()
        unneeded = []
        for entry in self._store.range("plans/"):
            _, workflow, digest = entry.key.split("/")
            if (workflow, digest) not in plans:
                unneeded.append(entry.key)
        for entry in self._store.range("code/"):
            _, workflow, version = entry.key.split("/")
            if (workflow, version) not in versions:
                unneeded.append(entry.key)
        if unneeded:
            self._store.commit([Delete(key) for key in unneeded])
        return len(unneeded)

    def _needed(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        """Return the plans that kept requests refer to, and the code that those and handlers do."""
        plans: set[tuple[str, str]] = set()
        for entry in self._store.range(keys.entities("request")):
            _, _, workflow, request_id = entry.key.split("/")
            first = self._store.get(keys.event(workflow, request_id, 0))
            if first is not None:
                accepted = from_record(log.decode_record(first.value))
                if isinstance(accepted, Accepted):
                    plans.add((workflow, accepted.plan))
        versions: set[tuple[str, str]] = set()
        for entry in self._store.range(keys.entities("handler")):
            handler = model.decode(model.Handler, entry.key, entry.value)
            versions.add((handler.workflow_name, handler.version or ""))
        for workflow, digest in plans:
            entry_of_plan = self._store.get(keys.plan(workflow, digest))
            if entry_of_plan is not None:
                plan = model.decode(model.Plan, entry_of_plan.key, entry_of_plan.value)
                versions |= {(workflow, version) for version in _versions(plan)}
        return plans, versions


def remove(store: Store, blobs: BlobFolder, marker: str, key: RequestKey) -> None:
    """Remove a finished request: its blobs first, so that nothing can be left behind."""
    try:
        blobs.remove(*key)
    except JobxError as error:
        _log.warning("the blobs of request %s stay: %s", "/".join(key), error)
    try:
        request = requests.get(store, *key)
    except NotFound:
        request = None
    store.commit(requests.purge_writes(marker, *key, request))


def _versions(plan: model.Plan) -> set[str]:
    refs = [
        ref
        for step in plan.steps.values()
        for ref in (step.mapper, step.combiner, step.reducer)
        if ref is not None
    ]
    return {ref.version for ref in refs}
