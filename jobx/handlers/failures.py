"""What an invocation ended with when it ended badly: exceptions of author code as plain fields."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from jobx.errors import (
    BlobDamaged,
    BlobUnreadable,
    JobxError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from jobx.handlers import tracebacks
from jobx.handlers.tracebacks import StackFrame, cut, printable, type_name
from jobx.system.errors import is_of_own_limit

#: What makes whatever left the blob run again.
_BLOB: Final = (BlobDamaged, BlobUnreadable)
#: Base classes of an exception that are told.
_MAX_BASES: Final = 32
_UNTOLD: Final = "(the exception cannot be shown: looking at it failed or took too long)"
#: The name of a class, whatever its metaclass says.
_name_of: Final = vars(type)["__name__"].__get__

#: The failure's type by the kind of a Misuse.
_MISUSES: Final = {
    "pair": "PairError",
    "protocol": "ProtocolError",
    "arguments": "ArgumentError",
    "scope": "ScopeError",
}


class Misuse(JobxError, code="misuse", template="{1}"):
    """A contract was broken. Args: kind (pair, protocol, arguments, scope), reason, pair index."""

    def __init__(self, kind: str, reason: str, pair: int | None = None) -> None:
        super().__init__(kind, reason, pair)


class GuestFailed(JobxError, code="guest-failed", template="{2}"):
    """Author code in a guest process failed, or that process did.

    Args: kind, type and message of the failure; the author's own frames, outermost first, each
    as file name, line and function; pair index.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        message: str,
        frames: Sequence[StackFrame] = (),
        pair: int | None = None,
    ) -> None:
        super().__init__(kind, name, message, frames, pair)


class HandlerTimeout(BaseException):
    """An invocation is over its time; no Exception, so that authors do not swallow it."""


def over_time(limit_s: float) -> HandlerTimeout:
    """Return the timeout of an invocation that took longer than ``limit_s``."""
    return HandlerTimeout(f"the invocation took longer than its time limit of {limit_s:g} s")


class RunError(ValueError):
    """A program that a handler ran ended with another code than expected."""


def describe(error: BaseException, redact: Callable[[str], str] = str) -> dict[str, Any]:
    """Return an exception as fields of a failure; what blob it is about is its ``input``.

    Args:
        error: The exception.
        redact: Hides secrets in a text.
    """
    try:
        return _described(error, redact)
    except BaseException:  # noqa: BLE001 - author code: its attributes may raise anything
        name = cut(redact(_name_of(type(error))))
        return {"kind": "author", "type": name, "message": _UNTOLD, "traceback": "", "bases": []}


def _described(error: BaseException, redact: Callable[[str], str]) -> dict[str, Any]:
    if isinstance(error, GuestFailed):
        kind, name, message, _, pair = error.args
        bases: list[str] = []
    else:
        kind, name = _classify(error)
        message = tracebacks.message_of(error)
        pair = error.args[2] if isinstance(error, Misuse) else None
        bases = [cut(redact(type_name(base))) for base in type(error).__mro__[1:-1][:_MAX_BASES]]
    return {
        "kind": kind,
        "type": cut(redact(name)),
        "message": cut(redact(message)),
        "traceback": _traceback(error, redact),
        "pair": pair,
        "bases": bases,
        **({"input": error.args[0]} if isinstance(error, _BLOB) else {}),
    }


def _traceback(error: BaseException, redact: Callable[[str], str]) -> str:
    if isinstance(error, GuestFailed):
        return tracebacks.of_frames(error.args[3], redact)
    if isinstance(error, JobxError):  # its causes are JobX's own
        return tracebacks.of_frames(tracebacks.own_frames(tracebacks.frames_of(error)), redact)
    return tracebacks.of_exception(error, redact)


def _classify(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Misuse):
        return error.args[0], _MISUSES[error.args[0]]
    name = type_name(type(error))
    if isinstance(error, HandlerTimeout):
        return "timeout", name
    if isinstance(error, MemoryError):
        return "memory", name
    if isinstance(error, _BLOB):
        return "blob", name
    if isinstance(error, StoreFull):
        return "full", name
    if isinstance(error, StoreRefused | StoreUnavailable):
        # Another executor does not meet a limit of this one, unless the handler sets it there too.
        return ("crash", "ExecutorAtLimit") if is_of_own_limit(error) else ("disk", name)
    return ("internal" if isinstance(error, JobxError) else "author"), name


def shorten(value: object) -> str:
    """Return a short text for a pair of any size."""
    return printable(_SHORT.repr(value))


def _short_repr() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    short.maxlist = short.maxtuple = short.maxdict = 6
    short.maxlevel = 3
    return short


_SHORT: Final = _short_repr()
