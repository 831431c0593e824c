"""The names in scope, to import: editors, linters and type checkers then know them.

    from jobx.scope import LOG, Return

In a handler an import gives the very names that it has without one. Elsewhere, as in a test that
imports the handler's file, it gives what works without a node: markers, paths and programs as they
are, ``LOG`` and ``PRINT`` to the log and the output of the process. What needs an invocation
(sessions, ``REQUEST``, ``INVOCATION``) raises RuntimeError there; ``jobx.testing.run_handler`` has
all of it. ``FS`` is None.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from jobx.handlers.markers import Map, Return
from jobx.handlers.scope.names import SEP, Scope
from jobx.handlers.scope.names import join as JOIN  # noqa: N812 - the name of authors
from jobx.values import Value

if TYPE_CHECKING:
    from jobx.handlers.files import files
    from jobx.handlers.scope.author_log import AuthorLog, Notify
    from jobx.handlers.scope.names import InvocationContext, RequestContext

    MrConfigureToMap = Map
    MrConfigureToReturn = Return
    #: Read, write and list the session of the mapper.
    S_GET: Callable[..., Value]
    S_SET: Callable[[str, Value], None]
    S_LIST: Callable[[], list[str]]
    #: The shared files of the workflow.
    FS: files.FS
    LOG: AuthorLog
    NOTIFY: Notify
    EMAIL: Notify
    HTTP: Notify
    PRINT: Callable[..., None]
    #: Runs a program, and returns its output.
    RUN: Callable[..., str]
    REQUEST: RequestContext
    INVOCATION: InvocationContext
    #: What a bare mapper works on: pairs, or arguments by name.
    arguments: Any
    #: What a bare combiner or reducer works on: keys with their values.
    results: Any

__all__ = [
    "EMAIL",
    "FS",
    "HTTP",
    "INVOCATION",
    "JOIN",
    "LOG",
    "NOTIFY",
    "PRINT",
    "REQUEST",
    "RUN",
    "SEP",
    "S_GET",
    "S_LIST",
    "S_SET",
    "Map",
    "MrConfigureToMap",
    "MrConfigureToReturn",
    "Return",
    "arguments",
    "results",
]

#: A name that only the globals of handlers have, and those of what a handler imports do not.
_SIGN: Final = "INVOCATION"
_MISSING: Final = object()


def __getattr__(name: str) -> object:
    """Return a name of the scope: that of the handler that asks for it, or else a stand-in."""
    if name not in __all__:
        raise AttributeError(f"jobx.scope has no name {name}; it has {', '.join(__all__)}")
    found = _of_handler(name)
    if found is not _MISSING:
        return found
    names = _stand_ins()
    if name not in names:
        raise AttributeError(f"{name} exists in a running handler only")
    return names[name]


def _of_handler(name: str) -> object:
    """Return a name from the handler that imports it, also by way of another module."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if _SIGN in frame.f_globals and frame.f_globals is not globals():
            return frame.f_locals.get(name, frame.f_globals.get(name, _MISSING))
        frame = frame.f_back
    return _MISSING


@functools.cache
def _stand_ins() -> dict[str, object]:
    names = Scope().names("test")
    return {**names, "LOG": logging.getLogger("handler"), "PRINT": print}
