"""What leases and watches on both APIs of etcd share: waiting, renewing, giving up."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Final

from jobx.errors import InUse, JobxError
from jobx.kv.leases import Held, Holders

#: How often it is looked whether the holder before has lost the lease.
_LOOK_S: Final = 0.25
#: Servers look for leases that have run out every half second.
_LATE_S: Final = 1.5


class TimedLease(ABC):
    """The contract of ``Lease``, on servers that forget a key after a time.

    Args:
        name: The key, for people.
        held: The holder, and the text to show at first.
        ttl_s: The time after which it is lost; servers count whole seconds.
    """

    def __init__(self, name: str, held: Held, ttl_s: float) -> None:
        self._name = name
        self._held = held
        self._ttl_s = math.ceil(ttl_s)
        #: Whether the key shows the text.
        self._is_shown = False
        #: Held by each change of the lease: a renewal must not follow the release.
        self._lock = threading.Lock()
        self._is_released = False

    def acquire(self) -> None:
        """See ``Lease.acquire``."""
        deadline = time.monotonic() + self._ttl_s + _LATE_S
        self._is_released = False
        while True:
            try:
                with self._lock:
                    return self._take()
            except InUse:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_S)

    def renew(self, value: str | None = None) -> bool:
        """See ``Lease.renew``."""
        with self._lock:
            if value is not None and value != self._held.value:
                self._held = self._held.showing(value)
                self._is_shown = False
            if self._is_released:
                return True
            is_kept = self._keep()
            if not is_kept:
                self._take()
            return is_kept

    def release(self) -> None:
        """See ``Lease.release``."""
        with self._lock:
            self._is_released = True
            with suppress(JobxError):  # it runs out soon
                self._drop()

    @abstractmethod
    def _take(self) -> None:
        """Write the key if it is free, or if this holder had it before; else raise InUse."""

    @abstractmethod
    def _keep(self) -> bool:
        """Renew it, and have the key show the text; return whether it was still held."""

    @abstractmethod
    def _drop(self) -> None:
        """Remove the key if it is held; it counts as not held then, even if this raises."""


class TimedWatch(ABC):
    """The contract of ``Watch``, where a wait has a limit of its own."""

    def __init__(self) -> None:
        self._last: Holders | None = None

    def next(self, timeout_s: float) -> Holders | None:
        """See ``Watch.next``."""
        deadline = time.monotonic() + timeout_s
        while True:
            holders = self._now()
            if holders != self._last:
                self._last = dict(holders)
                return dict(holders)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._wait(left_s)

    @abstractmethod
    def _now(self) -> Holders:
        """Return who holds what."""

    @abstractmethod
    def _wait(self, limit_s: float) -> None:
        """Wait for a change, at most so long, or shorter."""
