"""What a processor of a language does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from jobx.handlers.scope import Scope


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a handler without running it.

    Attributes:
        per_key: A combiner or reducer that is called once a key, so its input may be partitioned.
        parameters: Names that a mapper takes one by one; empty when it takes its arguments or
            its pair as a whole.
    """

    per_key: bool = False
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A handler that is ready to run.

    Attributes:
        name: The handler's name.
        per_key: See ``Checked``.
        run: Starts it. A mapper takes its ``Arguments``, a combiner or reducer a key and its
            values (per_key) or an iterable of both. Returns what it yields, or None.
    """

    name: str
    per_key: bool
    run: Callable[..., Iterable[object] | None]


class Processor(Protocol):
    """Checks and loads handlers of one language."""

    def check(self, source_code: str, handler_type: str) -> Checked:
        """Check source code without running any of it.

        Raises:
            InvalidInput: It is wrong; the message names the line.
        """
        ...

    def load(self, handler: Mapping[str, Any], scope: Scope) -> Loaded:
        """Make a handler ready to run.

        Args:
            handler: The fields of a ``load`` frame.
            scope: The names that it finds in its globals.

        Raises:
            InvalidInput: The source is wrong.
            BaseException: Whatever its top level raises.
        """
        ...
