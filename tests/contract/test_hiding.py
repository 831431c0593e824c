"""What races with the removal of a request, over every store."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import NotFound
from jobx.kv.requests import kept_requests, removal, request_entity, request_pages
from jobx.kv.store import Store
from jobx.tools.commands.request_keeping import pin
from tests.support.history import keep
from tests.support.stores import ALL_KINDS, OpenStore

#: Reads of the store by ``pin``, and more: the request is hidden before one of them.
READS = 12


def hide(store: Store) -> bool:
    """Hide what has expired; return whether it was possible."""
    found = kept_requests.expired(store, 1e9, 9)
    return all(
        outcome.error is None
        for outcome in store.commit_many([[removal.hide_writes(one)] for one in found])
    ) and bool(found)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_request_is_kept_whole_or_told_as_removed_whenever_it_is_hidden(
    kind: str, open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(kind, tmp_path)) as store:
        for moment in range(READS):
            keep(store, ("flow", "j"), "p" * 20, 1, first_at=float(moment))
            request_id = request_pages.page(store, "flow", limit=1)[0][0].request_id
            left = [moment]

            def before(call: Any, left: list[int] = left) -> Any:
                def read(*arguments: Any, **how: Any) -> Any:
                    left[0] -= 1
                    if left[0] == -1:
                        hide(store)
                    return call(*arguments, **how)

                return read

            with monkeypatch.context() as patch:
                for name in ("get", "range", "commit"):
                    patch.setattr(store, name, before(getattr(store, name)))
                is_kept = False
                with suppress(NotFound):
                    pin(store, "flow", [request_id])
                    is_kept = True
            hide(store)
            assert is_there(store, request_id) == is_kept, moment


def is_there(store: Store, request_id: str) -> bool:
    with suppress(NotFound):
        return request_entity.get(store, "flow", request_id).is_done
    return False
