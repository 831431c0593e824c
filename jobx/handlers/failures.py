"""What an invocation ended with when it ended badly: exceptions of author code as plain fields."""

from __future__ import annotations

import linecache
import reprlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, TypeAlias

from jobx.errors import (
    BlobDamaged,
    BlobUnreadable,
    JobxError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)

StackFrame: TypeAlias = tuple[str, int, str]  #: file name, line, function

#: What makes whatever left the blob run again.
_BLOB: Final = (BlobDamaged, BlobUnreadable)
_MAX_MESSAGE: Final = 4096
#: Base classes of an exception that are told.
_MAX_BASES: Final = 32
#: Author frames that are shown of a traceback: the outermost and the innermost ones.
_OUTER_FRAMES: Final = 5
_INNER_FRAMES: Final = 20
#: Characters that are shown of a source line, and of the names of its file and function.
_SHOWN: Final = 200
_MAX_TRACEBACK_BYTES: Final = 32 << 10
#: Modules whose name is left out of an exception's type.
_OWN_MODULES: Final = ("builtins", "handler(", "jobx.handlers.", "jobx.system.", "jobx.errors")

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


def filename(handler_name: str) -> str:
    """Return the file name that a handler's code has in tracebacks."""
    return f"<handler {handler_name}>"


def describe(error: BaseException, redact: Callable[[str], str] = str) -> dict[str, Any]:
    """Return an exception as fields of a failure; what blob it is about is its ``input``.

    Args:
        error: The exception.
        redact: Hides secrets in a text.
    """
    if isinstance(error, GuestFailed):
        kind, name, message, frames, pair = error.args
        bases: list[str] = []
    else:
        kind, name = _classify(error)
        message, frames = _message(error), _own_frames(error.__traceback__)
        pair = error.args[2] if isinstance(error, Misuse) else None
        bases = [_cut(redact(type_name(base))) for base in type(error).__mro__[1:-1][:_MAX_BASES]]
    return {
        "kind": kind,
        "type": _cut(redact(name)),
        "message": _cut(redact(message)),
        "traceback": _show(frames, redact),
        "pair": pair,
        "bases": bases,
        **({"input": error.args[0]} if isinstance(error, _BLOB) else {}),
    }


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
        return "disk", name
    return ("internal" if isinstance(error, JobxError) else "author"), name


def type_name(cls: type[BaseException]) -> str:
    """Return the name of an exception class, with its module unless that is the author's own."""
    module = getattr(cls, "__module__", None)
    if not isinstance(module, str) or module.startswith(_OWN_MODULES):
        return cls.__name__
    return f"{module}.{cls.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as unsayable:  # noqa: BLE001 - author code: anything may come out of __str__
        text = f"(its message cannot be shown: __str__ raised {type_name(type(unsayable))})"
    return text or ("no memory is left" if isinstance(error, MemoryError) else "")


def _cut(text: str) -> str:
    return printable(text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…")


def printable(text: str) -> str:
    """Return ``text`` with lone surrogates escaped, so that it can be sent."""
    return text.encode("utf-8", "backslashreplace").decode()


def shorten(value: object) -> str:
    """Return a short text for a pair of any size."""
    return printable(_SHORT.repr(value))


def show_source(handler_name: str, source_code: str) -> None:
    """Let tracebacks of a handler quote its source."""
    name = filename(handler_name)
    lines = [f"{line}\n" for line in source_code.split("\n")]
    linecache.cache[name] = (len(source_code), None, lines, name)


def _own_frames(innermost: TracebackType | None) -> list[StackFrame]:
    """Return the frames of a traceback that are the author's own, outermost first."""
    frames = []
    while innermost is not None:
        code = innermost.tb_frame.f_code
        if code.co_filename.startswith("<handler "):
            frames.append((code.co_filename, innermost.tb_lineno, code.co_name))
        innermost = innermost.tb_next
    return frames


def _show(frames: Sequence[StackFrame], redact: Callable[[str], str]) -> str:
    hidden = len(frames) - _OUTER_FRAMES - _INNER_FRAMES
    shown = frames if hidden <= 0 else [*frames[:_OUTER_FRAMES], *frames[-_INNER_FRAMES:]]
    lines = [_frame_text(*frame, redact) for frame in shown]
    if hidden > 0:
        lines.insert(_OUTER_FRAMES, f"  … {hidden} more\n")
    return "".join(lines).encode()[:_MAX_TRACEBACK_BYTES].decode(errors="ignore")


def _frame_text(name: str, line: int, function: str, redact: Callable[[str], str]) -> str:
    source = linecache.getline(name, line).strip()
    # A secret that is cut first would not be found.
    name, function, source = (redact(text)[:_SHOWN] for text in (name, function, source))
    return printable(f'  File "{name}", line {line}, in {function}\n    {source}\n')


def _short_repr() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    short.maxlist = short.maxtuple = short.maxdict = 6
    short.maxlevel = 3
    return short


_SHORT: Final = _short_repr()
