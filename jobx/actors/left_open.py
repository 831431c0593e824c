"""Requests that a newer JobX wrote: this node neither continues nor ends them."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from jobx.actors.messages import RequestKey
from jobx.errors import FormUnknown

#: Reasons that are remembered; of further requests only the number is.
MOST: Final = 10_000


class LeftOpen:
    """Remembers which requests are left to a newer JobX, and why. Runs on the node's loop."""

    def __init__(self) -> None:
        self._reasons: dict[RequestKey, FormUnknown] = {}
        self._more = 0

    def add(self, key: RequestKey, reason: FormUnknown) -> None:
        """Note a request that this node leaves open."""
        if key in self._reasons or len(self._reasons) < MOST:
            self._reasons[key] = reason
        else:
            self._more += 1

    def forget_all_but(self, opened: Container[RequestKey]) -> None:
        """Forget the requests that are not open here any more: ended, or adopted by others."""
        kept = {key: reason for key, reason in self._reasons.items() if key in opened}
        self._more = 0 if len(kept) < len(self._reasons) else self._more
        self._reasons = kept

    def reason(self, key: RequestKey) -> FormUnknown | None:
        """Return why a request is left open; None if it is not."""
        return self._reasons.get(key)

    @property
    def is_over(self) -> bool:
        """Whether more were left than are remembered: others cannot be told from these."""
        return self._more > 0

    @property
    def notice(self) -> str | None:
        """What readiness says of them; None if there are none."""
        if not self._reasons:
            return None
        count = len(self._reasons) + self._more
        key, reason = next(iter(self._reasons.items()))
        text = f"open requests that a newer JobX wrote and has to end: {count}, the first"
        return f"{text} {'/'.join(key)}: {reason}"
