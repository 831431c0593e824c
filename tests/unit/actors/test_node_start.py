"""A start of a node that fails."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from jobx.actors import held_lease
from jobx.actors import node as node_module
from jobx.actors.held_lease import HeldLease
from jobx.actors.node import Node
from jobx.errors import StoreRefused
from tests.support.authoring import settings_of


class LostLease:
    """A lease of which a renewal finds that it is lost, once the lease is released."""

    def __init__(self) -> None:
        self.is_renewing = threading.Event()
        self._is_released = threading.Event()

    def acquire(self) -> None:
        """Have it."""

    def release(self) -> None:
        self._is_released.set()

    def renew(self) -> bool:
        self.is_renewing.set()
        assert self._is_released.wait(60.0)
        return False


def test_a_lease_that_is_lost_when_a_start_has_failed_is_no_further_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = LostLease()
    raised: list[Exception | None] = []
    renew = HeldLease.renew

    def watched(held: HeldLease) -> None:
        try:
            renew(held)
        except Exception as error:  # noqa: BLE001 - of any kind
            raised.append(error)
        else:
            raised.append(None)

    def fail(*_: object) -> None:
        assert lease.is_renewing.wait(60.0)
        raise StoreRefused("it", "broken")

    monkeypatch.setattr(node_module, "lease_of", lambda *_: lease)
    monkeypatch.setattr(held_lease, "LEASE_S", 0.03)
    monkeypatch.setattr(node_module, "check_at_start", fail)
    monkeypatch.setattr(HeldLease, "renew", watched)
    with pytest.raises(StoreRefused):
        asyncio.run(Node(settings_of(tmp_path), {}).start())  # which waits for all threads
    assert raised == [None]
