"""Modules that author code shares with the code of others, put back when it has changed them.

Looking at hundreds of names takes longer than a small invocation. So a module tells when an
attribute of it is set, or its namespace is handed out; what goes round that (``f.__globals__``) is
found by a thorough look.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import itemgetter
from types import ModuleType
from typing import Any


class Modules:
    """The public functions and classes of modules as they were.

    Args:
        names: Which modules; those that are not loaded are left out.
        own: Names that others look after.
    """

    def __init__(self, names: Iterable[str], own: Collection[str]) -> None:
        self._table = sys.modules
        self._loaded = {name: sys.modules[name] for name in names if name in sys.modules}
        self._take = itemgetter(*self._loaded)
        self._before = tuple(self._loaded.values())
        self._watched = [_Watched(module, own) for module in self._before]
        #: Handlers are given the namespace itself, ``__builtins__``.
        self._builtins = _Watched(builtins, own)
        self._scope = builtins.__dict__
        self._scope_names = frozenset(self._scope)
        self._is_touched = False
        self._kind = _telling(self._touch)
        for module in self._before:
            module.__class__ = self._kind

    def _touch(self) -> None:
        self._is_touched = True

    def restore(self, *, is_thorough: bool) -> None:
        """Put back what is another thing now, or gone."""
        if sys.modules is not self._table:
            sys.modules = self._table
        if not _is_whole(self._take, sys.modules, self._before):
            sys.modules.update(self._loaded)
        if is_thorough or self._is_touched:
            for watched in self._watched:
                watched.restore()
                watched.module.__class__ = self._kind
            self._is_touched = False
        else:
            self._builtins.restore()
        if len(self._scope) != len(self._scope_names):  # what is added would be in every scope
            for added in self._scope.keys() - self._scope_names:
                del self._scope[added]


class _Watched:
    """A module, and its names as they were."""

    __slots__ = ("_before", "_names", "_namespace", "_take", "module")

    def __init__(self, module: ModuleType, own: Collection[str]) -> None:
        is_builtins = module is builtins
        watched = {
            name: thing
            for name, thing in module.__dict__.items()
            if (callable(thing) or isinstance(thing, ModuleType))
            and name not in own
            and (is_builtins or not name.startswith("_"))
        }
        self.module = module
        self._namespace = module.__dict__
        self._names = tuple(watched)
        self._take = itemgetter(*watched)
        self._before = tuple(watched.values())

    def restore(self) -> None:
        if not _is_whole(self._take, self._namespace, self._before):
            self._namespace.update(zip(self._names, self._before, strict=True))


def _is_whole(
    take: Callable[[Mapping[str, Any]], tuple[Any, ...]],
    namespace: Mapping[str, Any],
    before: tuple[Any, ...],
) -> bool:
    try:
        return take(namespace) == before
    except KeyError:
        return False


def _telling(touch: Callable[[], None]) -> type[ModuleType]:
    """Return a class of modules that call ``touch`` when they may be changed."""
    namespace: Any = vars(ModuleType)["__dict__"]

    class Telling(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            touch()
            super().__setattr__(name, value)

        def __delattr__(self, name: str) -> None:
            touch()
            super().__delattr__(name)

        def _namespace(self) -> dict[str, Any]:
            touch()
            found: dict[str, Any] = namespace.__get__(self)
            return found

        __dict__ = property(_namespace)

    Telling.__name__ = Telling.__qualname__ = ModuleType.__name__
    return Telling
