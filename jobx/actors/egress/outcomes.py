"""What becomes of a delivery after a try: pure decisions."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from jobx.actors.messages import RequestKey
from jobx.actors.notification import Notification
from jobx.config_sections import ResultSettings
from jobx.errors import (
    BlobDamaged,
    BlobUnreadable,
    JobxError,
    StoreUnavailable,
    TooLarge,
    Unavailable,
)
from jobx.kv.requests import deliveries
from jobx.model import Delivery
from jobx.system.backoff import doubled, spread
from jobx.system.errors import is_own_lack

_ERROR_CHARACTERS: Final = 300


def after_try(
    begun: Delivery,
    error: Exception | None,
    settings: ResultSettings,
    now_at: float,
    luck: float,
) -> Delivery:
    """Return the state of a delivery after a try.

    Args:
        begun: The state before, with the try counted.
        error: Why the try failed, or None.
        settings: Number and spacing of tries.
        now_at: The wall clock.
        luck: A random number below 1, which spreads tries.
    """
    if error is None:
        return msgspec.structs.replace(
            begun, state="delivered", error=None, next_at=None, ended_at=now_at
        )
    failed = msgspec.structs.replace(begun, error=_text(error)[:_ERROR_CHARACTERS])
    if isinstance(error, StoreUnavailable | BlobUnreadable) or is_own_lack(error):
        # Nothing was tried: this node lacked descriptors, memory, or the right to read.
        return msgspec.structs.replace(
            failed, attempts=begun.attempts - 1, next_at=now_at + spread(settings.backoff_s, luck)
        )
    if begun.attempts >= settings.attempts or isinstance(error, TooLarge | BlobDamaged):
        return msgspec.structs.replace(
            failed, state=deliveries.GIVEN_UP, next_at=None, ended_at=now_at
        )
    wanted_s = error.retry_after_s if isinstance(error, Unavailable) else 0.0
    backoff_s = spread(doubled(settings.backoff_s, begun.attempts - 1, math.inf), luck)
    delay_s = min(max(backoff_s, wanted_s), settings.max_backoff_s)
    return msgspec.structs.replace(failed, next_at=now_at + delay_s)


def _text(error: Exception) -> str:
    """Return the error as text, without the time of the next try, which the delivery has."""
    if isinstance(error, Unavailable):
        return error.reason
    return str(error) if isinstance(error, JobxError) else f"{type(error).__name__}: {error}"


def given_up(key: RequestKey, delivery: Delivery) -> Notification:
    """Return the notification of a delivery that was given up."""
    return Notification(
        kind="delivery.given_up",
        level="error",
        cause=f"{key.workflow}/{delivery.writer}/{delivery.place}",
        subject=f"the result of {'/'.join(key)} was not delivered by {delivery.writer}",
        text=f"to {delivery.place}, in {delivery.attempts} tries; last: {delivery.error}",
        workflow=key.workflow,
        request_id=key.request_id,
    )
