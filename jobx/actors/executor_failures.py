"""Failures of executors, as failures of the invocations in them."""

from __future__ import annotations

from typing import Final

from jobx.errors import FrameError, JobxError, StoreRefused, Unavailable
from jobx.model import Failure
from jobx.system import processes

#: The executor of a suspended mapper is gone.
KEEPER_GONE: Final = Failure(
    kind="lost", type="ExecutorLost", message="the executor that held the mapper is gone"
)

#: A parked executor with suspended mappers was ended, because there were too many.
EVICTED: Final = Failure(
    kind="lost",
    type="ExecutorLost",
    message="other workflows needed the place of the executor that held the mapper",
)


def crashed(text: str) -> Failure:
    """Return the failure of the running invocation of a dead executor; ``text`` says how."""
    return Failure(kind="crash", type="ExecutorCrashed", message=text)


def exited(status: int) -> Failure:
    """Return the failure of the running invocation of an executor that exited.

    Args:
        status: Its exit code, or minus the number of the signal that ended it.
    """
    return crashed(f"the executor {processes.how_ended(status)}")


def unread(reason: str) -> Failure:
    """Return the failure of work with an unreadable report."""
    message = f"the executor's answer cannot be read: {reason}"
    return Failure(kind="protocol", type="BadFrame", message=message)


def unsendable(error: JobxError) -> Failure:
    """Return the failure of work that cannot be sent to an executor.

    If a store cannot give it now, the work is retried, like work that found no room.
    """
    if isinstance(error, Unavailable | StoreRefused):
        kind = "disk"
    else:
        kind = "limit" if isinstance(error, FrameError) else "internal"
    return Failure(kind=kind, type=type(error).__name__, message=str(error))
