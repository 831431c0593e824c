"""The names in the globals of author code, and the invocation that they refer to.

All handlers of an executor share one scope. Its names refer to the running invocation,
``Scope.current``, which is switched when suspended mappers take turns.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobx import values
from jobx.handlers.markers import Map, Return
from jobx.handlers.pairs.checking import snapshot
from jobx.handlers.scope import programs
from jobx.handlers.scope.author_log import AuthorLog, Notify
from jobx.handlers.scope.invocation import Invocation
from jobx.values import Value

SEP: Final = "/"
_REQUIRED: Final = object()


@dataclass(slots=True)
class _AtWork:
    """The current invocation, for all scopes of an executor."""

    invocation: Invocation | None = None


class Scope:
    """The names for author code.

    Args:
        extra: Further names, for all handlers.

    Attributes:
        own: The names that a scope factory added for one handler, see ``extended``.
    """

    def __init__(self, extra: Mapping[str, object] | None = None) -> None:
        self.own: Mapping[str, object] = {}
        self._at_work = _AtWork()
        self._names: dict[str, object] = {
            "MrConfigureToMap": Map,
            "Map": Map,
            "MrConfigureToReturn": Return,
            "Return": Return,
            "S_GET": self._session_get,
            "S_SET": self.set_session,
            "S_LIST": self._session_list,
            "SEP": SEP,
            "JOIN": join,
            "FS": None,
            "LOG": AuthorLog(self.log),
            "NOTIFY": Notify("NOTIFY", self.at_work),
            "EMAIL": Notify("EMAIL", self.at_work),
            "HTTP": Notify("HTTP", self.at_work),
            "PRINT": self._print,
            "RUN": self._run,
            "REQUEST": RequestContext(self),
            "INVOCATION": InvocationContext(self),
            **(extra or {}),
        }

    @property
    def current(self) -> Invocation | None:
        """The running invocation; None if there is none."""
        return self._at_work.invocation

    @current.setter
    def current(self, invocation: Invocation | None) -> None:
        self._at_work.invocation = invocation

    @property
    def reserved(self) -> Collection[str]:
        """The names that all handlers have."""
        return self._names.keys()

    def names(self, handler_name: str) -> dict[str, object]:
        """Return new globals for a handler."""
        return {**self._names, **self.own, "__name__": f"handler({handler_name})"}

    def extended(self, own: Mapping[str, object]) -> Scope:
        """Return a scope for one handler, with further names and the same running invocation."""
        scope = copy.copy(self)
        scope.own = own
        return scope

    def add(self, name: str, thing: object) -> None:
        """Add or replace a name for all handlers."""
        self._names[name] = thing

    def workflow(self) -> str:
        """Return the workflow of the current invocation; raises as ``at_work``."""
        return self.at_work().request.workflow

    def take(self, piece: bytes) -> None:
        """Add to the current invocation's captured output; without an invocation it is dropped."""
        if self.current is not None:
            self.current.write(piece)

    def write(self, text: str) -> None:
        """Add text to the current invocation's captured output."""
        self.take(text.encode("utf-8", "backslashreplace"))

    def log(self, level: str, message: str) -> None:
        """Add a line to the output: level, request, invocation, message."""
        if (invocation := self.current) is not None:
            self.write(f"{level} {invocation.request.id}/{invocation.id}: {message}\n")

    def at_work(self) -> Invocation:
        """Return the current invocation.

        Raises:
            RuntimeError: There is none, since the name is used while a module is loaded.
        """
        if self.current is None:
            raise RuntimeError("no invocation is running")
        return self.current

    def _session_get(self, key: str, default: Value = _REQUIRED) -> Value:
        session = self.at_work().session
        if key in session:
            return snapshot(session[key])
        if default is _REQUIRED:
            raise KeyError(key)
        return default

    def set_session(self, key: str, value: Value) -> None:
        """Keep a value for the reducer of the current invocation (S_SET)."""
        invocation = self.at_work()
        if invocation.stage != "mapper":
            raise PermissionError(f"a {invocation.stage} may only read the session")
        if not isinstance(key, str):
            raise TypeError(f"a session's keys are text, not {type(key).__name__}")
        values.check_value(key)
        invocation.session[key] = snapshot(value)

    def _session_list(self) -> list[str]:
        return list(self.at_work().session)

    def _print(self, *parts: object) -> None:
        self.write(" ".join(map(str, parts)) + "\n")

    def _run(
        self,
        cmd: str | Sequence[str],
        input_data: str | bytes | None = None,
        success_code: int | None = 0,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a program and return its output; see ``programs.run``."""
        environ = {**os.environ, **(env or {})}
        done = programs.run(
            cmd, input_data, success_code, env=environ, limit_s=self.limit_s(), note=self.write
        )
        return programs.text(done.stdout)

    def limit_s(self) -> float | None:
        """Return the seconds that the current invocation still has; None: it has no limit."""
        remaining_s = self.at_work().deadline - time.monotonic()
        return None if math.isinf(remaining_s) else max(remaining_s, 0.0)


class RequestContext:
    """REQUEST: the request that the current invocation works for."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def id(self) -> str:
        """The request's id."""
        return self._scope.at_work().request.id

    @property
    def workflow(self) -> str:
        """Name of the workflow."""
        return self._scope.workflow()

    @property
    def job(self) -> str:
        """Name of the job."""
        return self._scope.at_work().request.job

    @property
    def context(self) -> dict[str, Any]:
        """Information about the caller."""
        return dict(self._scope.at_work().request.context)


class InvocationContext:
    """INVOCATION: the current invocation."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def id(self) -> str:
        """Its id in its request, as traces have it: ``m0``, ``c17``, ``r17``."""
        return self._scope.at_work().id

    @property
    def vertex(self) -> int:
        """Number of the invocation in its request."""
        return self._scope.at_work().vertex

    @property
    def step(self) -> str:
        """Name of the step."""
        return self._scope.at_work().step

    @property
    def handler(self) -> str:
        """Name of the handler."""
        return self._scope.at_work().handler

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""
        return self._scope.at_work().attempt

    def remaining_s(self) -> float:
        """Return the seconds until the time limit ends the invocation; may be infinite."""
        return self._scope.at_work().deadline - time.monotonic()


def join(*parts: str) -> str:
    """Return parts of a path joined by one SEP each; an absolute part does not reset it."""
    first, *rest = parts or ("",)
    return SEP.join([first.rstrip(SEP) if rest else first, *(part.strip(SEP) for part in rest)])
