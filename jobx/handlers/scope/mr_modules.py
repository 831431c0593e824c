"""``mr.handlers.scope``, for scope factories and handlers that import it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from jobx.handlers.markers import Map, Return

_SCOPE: Final = "mr.handlers.scope"
#: The modules that exist, outermost first.
MODULES: Final = ("mr", "mr.handlers", _SCOPE)


def configure_to_map(next_step_name: str) -> Map:
    """Return the marker of a mapper that maps on; the parameter has the name that mr gave it."""
    return Map(next_step_name)


class WorkflowScopeFactory:
    """Base of factories; asked once for each workflow."""

    def get_handler_scope_factory(self, workflow: Any) -> Any:
        """Return the factory of the scopes of a workflow's handlers."""
        raise NotImplementedError


class HandlerScopeFactory:
    """Base of the factories of one workflow; asked for each handler."""

    def get_scope(self, handler_definition: Any) -> Any:
        """Return further names for a handler."""
        raise NotImplementedError


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of mr that exist here; it comes last, so an installed mr is not hidden."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname not in MODULES:
            return None
        return ModuleSpec(fullname, self, is_package=fullname != _SCOPE)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == _SCOPE:
            injected = {"MrConfigureToMap": configure_to_map, "MrConfigureToReturn": Return}
            bases = (WorkflowScopeFactory, HandlerScopeFactory)
            named = {base.__name__: base for base in bases}
            vars(module).update({**injected, "SCOPE_INJECTED_TYPES": injected, **named})


def offer() -> None:
    """Let this process import the modules of mr."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
