"""Handlers in the form of mr 0.3.5: how they are told from others, and what they find in scope.

mr stored a mapper only if its argument spec was the one list ``arguments``, a combiner or reducer
only with ``results``. So such a spec is no spec: it says that the file was written for mr. Its code
gets those lists, and the names that did something else, or are gone from Python.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final

from jobx.handlers.scope import mr_modules, programs
from jobx.handlers.scope.names import Scope
from jobx.values import Value

_PYTHON: Final = "python"
#: What Python 2 had, where the same thing has another name now.
_OF_PYTHON_2: Final[Mapping[str, object]] = {
    "basestring": str,
    "cmp": lambda one, other: (one > other) - (one < other),
    "long": int,
    "reduce": functools.reduce,
    "unichr": chr,
    "unicode": str,
    "xrange": range,
}


def is_mr_form(source_type: str, handler_type: str, spec: Sequence[Sequence[str]]) -> bool:
    """Tell whether a handler is in the form of mr, by its language, type and argument spec."""
    name = "arguments" if handler_type == "mapper" else "results"
    return source_type == _PYTHON and list(map(list, spec)) == [[name, "list"]]


def listed(run: Callable[..., Any], handler_type: str) -> Callable[[Iterable[Any]], Any]:
    """Return a handler that takes its input as the list that mr gave."""
    make = list if handler_type == "mapper" else tuple

    def over_list(given: Iterable[Any]) -> Any:
        return run([make(pair) for pair in given])

    return over_list


def names(scope: Scope) -> dict[str, object]:
    """Return the names that handlers of mr find in place of others, or in addition to them.

    They may also import ``mr.handlers.scope``.
    """
    mr_modules.offer()

    def run(
        cmd: str | Sequence[str],
        input_data: str | bytes | None = None,
        success_code: int | None = 0,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Run a program, write its output to the invocation's, and return its exit code."""
        environ = os.environ if env is None else env
        done = programs.run(
            cmd, input_data, success_code, env=environ, limit_s=scope.limit_s(), note=scope.write
        )
        scope.write(programs.text(done.stdout))
        return done.returncode

    def listed_session() -> Iterator[tuple[str, Value]]:
        """Return the keys and values of the session."""
        return iter([(key, get(key)) for key in known["S_LIST"]()])

    known: Any = scope.names("")
    get = known["S_GET"]
    ctx = SimpleNamespace(session_get=get, session_set=known["S_SET"], session_list=listed_session)
    return {
        **_OF_PYTHON_2,
        "MrConfigureToMap": mr_modules.configure_to_map,
        "RUN": run,
        "S_LIST": listed_session,
        "ctx": ctx,
        **scope.own,
    }
