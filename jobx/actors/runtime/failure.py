"""What is told of an exception that ended an actor."""

from __future__ import annotations

import logging
import traceback
from typing import Final

from thespian.actors import ActorAddress, ChildActorExited

_LOG: Final = logging.getLogger(__name__)


class ChildFailed(ChildActorExited):
    """Tells a parent that an exception ended its child.

    Attributes:
        error_type: Class name of the exception.
        reason: The exception as one line, class name included.
        details: The traceback.
    """

    def __init__(self, address: ActorAddress, error_type: str, reason: str, details: str) -> None:
        super().__init__(address)
        self.error_type = error_type
        self.reason = reason
        self.details = details


#: The ``error_type`` of children whose node is lost.
NODE_LOST: Final = "NodeLost"


class ChildLost(ChildFailed):
    """Tells a parent that its child on another node is lost, by no fault of the child.

    That node is lost, or its connection to this one (NODE_LOST); or one of the two cannot read
    what the other sends, as nodes of two versions.
    """


def failure_of(address: ActorAddress, name: str, error: BaseException) -> ChildFailed:
    """Log an exception that stopped an actor; return it as text, which keeps no frame alive."""
    kind = type(error).__name__
    try:
        told = traceback.TracebackException.from_exception(error)
        reason = "".join(told.format_exception_only()).strip()
        details = "".join(told.format())
    except BaseException:  # noqa: BLE001 - whatever it raises, the death must be told
        reason = f"{kind}, which cannot be shown"
        details = "".join([*traceback.format_tb(error.__traceback__), reason])
    _LOG.error("%s, a %s, failed: %s", address, name, details)
    return ChildFailed(address, kind, reason, details)
