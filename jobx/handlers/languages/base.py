"""The interface of a processor of a language."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeVar

from jobx.handlers.languages.guests import Guests
from jobx.handlers.scope.names import Scope
from jobx.system.errors import translated
from jobx.values import Key, Value, to_jsonable

P = TypeVar("P", bound="Processor")

#: Keys in order with their values; can be iterated more than once.
Grouped: TypeAlias = Iterable[tuple[Key, Sequence[Value]]]


@dataclass(frozen=True, slots=True)
class Checked:
    """The facts about a handler that are known without running it.

    Attributes:
        per_key: A combiner or reducer that treats each key alone, so its input may be partitioned.
        parameters: Names that a mapper takes one by one; empty when it takes its arguments or
            its pair as a whole.
        optional: Names of parameters that have a default.
    """

    per_key: bool = False
    parameters: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A handler that is ready to run.

    Attributes:
        name: The handler's name.
        per_key: See ``Checked``.
        run: Starts it. A mapper takes its ``Arguments``, a combiner or reducer ``Grouped`` input.
            Returns the pairs that it yields, or None.
        in_any_order: It is called once a key, so its input need not be sorted.
        is_self_contained: Its code cannot change the process that runs it.
    """

    name: str
    per_key: bool
    run: Callable[[Any], Iterable[object] | None]
    in_any_order: bool = False
    is_self_contained: bool = False


class Processor(Protocol):
    """Checks and loads handlers of one language. It keeps no state: that is for ``Guests.keep``."""

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of its files, each with its dot."""
        ...

    def read(self, source_code: str, handler_type: str) -> Checked:
        """Tell what the text says; quick, and needs nothing but Python.

        Raises:
            InvalidInput: It is wrong; the message names the line.
        """
        ...

    def check(self, source_code: str, handler_type: str) -> Checked:
        """Check source code as well as that goes without running any of it.

        Raises:
            InvalidInput: It is wrong (the message names the line), or what checks it is not
                installed.
        """
        ...

    def load(self, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        """Make a handler ready to run.

        Args:
            handler: The fields of ``work.LoadHandler``.
            scope: The names that it finds in its globals.
            guests: The processes that it may need.

        Raises:
            InvalidInput: The source is wrong.
            GuestFailed: What runs it is missing or fails.
            BaseException: Whatever its top level raises.
        """
        ...


_Load: TypeAlias = "Callable[[P, Mapping[str, Any], Scope, Guests], Loaded]"


def without_author_code(load: _Load[P]) -> _Load[P]:
    """Say that all that runs in the executor is of JobX, for handlers that run in a guest.

    So what the operating system refuses is no author's failure, while loading and later, and
    handlers are self-contained, unless they call what a scope factory adds.
    """

    @functools.wraps(load)
    def loading(processor: P, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        with translated(guests.folder):
            loaded = load(processor, handler, scope, guests)
        run = functools.partial(_run, loaded, guests.folder)
        return replace(loaded, run=run, is_self_contained=not scope.own)

    return loading


def _run(loaded: Loaded, folder: str, given: Any) -> Iterator[object]:
    with translated(folder):
        yield from loaded.run(given) or ()


def context(scope: Scope) -> dict[str, Any]:
    """Return ``request`` and ``invocation`` as guests are told of the invocation at work, as JSON.

    All but the context is plain: most of a call is this, so it is not converted.
    """
    invocation = scope.at_work()
    request = invocation.request
    return {
        "request": {
            "id": request.id,
            "workflow": request.workflow,
            "job": request.job,
            "context": to_jsonable(request.context),
        },
        "invocation": {
            "id": invocation.id,
            "step": invocation.step,
            "handler": invocation.handler,
            "vertex": invocation.vertex,
            "attempt": invocation.attempt,
            "remaining_s": to_jsonable(invocation.deadline - time.monotonic()),
        },
    }
