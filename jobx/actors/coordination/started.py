"""Work that a coordinator has given to a batch, and that has no answer yet."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from thespian.actors import ActorAddress

from jobx.actors.request.decisions import Dispatch


class Started(Struct, frozen=True):
    """The work of a batch.

    Attributes:
        work: What it is to do.
        batch: The batch.
        since: Since when it has it, monotonic seconds.
        requires: What its node must offer.
    """

    work: Dispatch
    batch: ActorAddress
    since: float
    requires: tuple[str, ...] = ()


#: Such work of one request, by ticket.
StartedWork: TypeAlias = dict[int, Started]
