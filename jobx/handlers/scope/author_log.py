"""LOG, NOTIFY, EMAIL and HTTP: what author code logs and whom it tells."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from jobx.handlers.scope.invocation import Invocation

_LEVELS: Final = {
    **{name: name.upper() for name in ("debug", "info", "warning", "error", "critical")},
    "warn": "WARNING",
    "fatal": "CRITICAL",
}
#: Keywords of a logger's methods; all but ``exc_info`` say nothing that a line has.
_KEYWORDS: Final = frozenset({"exc_info", "extra", "stack_info", "stacklevel"})


class AuthorLog:
    """LOG: lines in the captured output, with the methods of a logger.

    They are ``debug``, ``info``, ``warning`` (also ``warn``), ``error``, ``critical`` (also
    ``fatal``), ``exception``, which adds the traceback of the exception at hand, and ``log``, which
    takes the level first. The names of levels count in any case.

    Args:
        take: Called with a level and a message.
    """

    def __init__(self, take: Callable[[str, str], None]) -> None:
        self._take = take

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return the method of a level."""
        level = _LEVELS.get(name.lower())
        if level is None:
            known = ", ".join((*_LEVELS, "exception", "log"))
            raise AttributeError(f"there is no level {name}; the levels are {known}")
        return partial(self._log, level)

    def exception(self, message: object, *args: object, **options: Any) -> None:
        """Write a line of level ERROR and the traceback of the exception at hand."""
        self._log("ERROR", message, *args, **{"exc_info": True, **options})

    def log(self, level: int | str, message: object, *args: object, **options: Any) -> None:
        """Write a line of a level, which is a number of ``logging`` or a name."""
        self._log(level_name(level), message, *args, **options)

    def isEnabledFor(self, level: object) -> bool:  # noqa: N802 - the name of a logger's method
        """Return True: all lines are kept."""
        del level
        return True

    def getChild(self, name: str) -> AuthorLog:  # noqa: N802 - the name of a logger's method
        """Return this log: lines tell of their invocation, not of a logger."""
        del name
        return self

    def _log(self, level: str, message: object, *args: object, **options: Any) -> None:
        unknown = options.keys() - _KEYWORDS
        if unknown:
            raise TypeError(f"{level.lower()}() got an unexpected keyword {sorted(unknown)[0]!r}")
        self._line(level, message, args, _traceback(options.get("exc_info")))

    def _line(self, level: str, message: object, args: tuple[object, ...], more: str) -> None:
        self._take(level, f"{_filled(message, args)}\n{more}".rstrip("\n"))


class Notify(AuthorLog):
    """NOTIFY, EMAIL, HTTP: like LOG, but notifications are sent when the invocation has ended.

    Args:
        channel: The name of the channel.
        at_work: Returns the current invocation.
    """

    def __init__(self, channel: str, at_work: Callable[[], Invocation]) -> None:
        super().__init__(lambda _, __: None)
        self._channel = channel
        self._at_work = at_work

    def _line(self, level: str, message: object, args: tuple[object, ...], more: str) -> None:
        text = _filled(message, args)
        self._at_work().tell(self._channel, level.lower(), str(message), text, more)


def level_name(level: int | str) -> str:
    """Return the name of the nearest level that is not above a number, or the one of a name.

    Raises:
        ValueError: There is no level of that name.
    """
    if isinstance(level, str):
        if level.lower() not in _LEVELS:
            raise ValueError(f"there is no level {level}; the levels are {', '.join(_LEVELS)}")
        return _LEVELS[level.lower()]
    known = {getattr(logging, name): name for name in _LEVELS.values()}
    return known[max((number for number in known if number <= level), default=logging.DEBUG)]


def _traceback(exc_info: object) -> str:
    """Return the traceback that ``exc_info`` asks for, as the methods of a logger take it."""
    if isinstance(exc_info, BaseException):
        return "".join(traceback.format_exception(exc_info))
    found = exc_info if isinstance(exc_info, tuple) else sys.exc_info() if exc_info else (None,)
    if found[0] is None:
        return ""
    return "".join(traceback.format_exception(*found))


def _filled(message: object, args: tuple[object, ...]) -> str:
    """Return a message with its arguments; like a logger, never fail on a mismatch."""
    template = str(message)
    if len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        given: object = args[0]  # for ``%(name)s``
    else:
        given = args
    try:
        return template % given if args else template
    except (TypeError, ValueError, KeyError):
        return f"{template} {args!r}"
