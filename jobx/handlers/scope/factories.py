"""Scope factories: code of an operator that adds names to those that handlers find in scope.

A factory is imported and called where handlers run, in executors, and never in a node.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from jobx.errors import StoreUnavailable
from jobx.handlers.failures import Misuse, describe, shorten
from jobx.handlers.scope import mr_modules
from jobx.system.errors import is_own_lack

#: Stands in place of a workflow: all workflows without their own factory.
ANY_WORKFLOW: Final = "*"
_OLD_STYLE: Final = "get_handler_scope_factory"

ScopeNames = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class HandlerDefinition:
    """The argument of ``get_scope`` for a factory in the style of mr.

    Attributes:
        workflow_name: The handler's workflow.
        handler_name: Its name.
        handler_type: ``mapper``, ``combiner`` or ``reducer``.
        source_type: Its language.
        source_code: Its source.
        version: Its version.
        secrets: The secrets of the settings, by name.
        argument_spec: Name and type of each argument.
    """

    workflow_name: str
    handler_name: str
    handler_type: str
    source_type: str
    source_code: str
    version: str
    secrets: Mapping[str, str] = field(repr=False)
    argument_spec: Sequence[Sequence[str]] = ()

    @property
    def name(self) -> str:
        """The handler's name, as mr called it."""
        return self.handler_name


class Workflow(str):
    """The argument of ``get_handler_scope_factory``: the name, which mr had as an attribute."""

    __slots__ = ()

    @property
    def workflow_name(self) -> str:
        """The name."""
        return str(self)


class ScopeFactories:
    """The factories of a deployment.

    Args:
        paths: Their paths, ``package.module:callable``, by workflow or ``*``.
        secrets: The secrets that they get.
    """

    def __init__(self, paths: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        self._paths = paths
        self._secrets = MappingProxyType(dict(secrets))
        self._of_workflows: dict[tuple[str, str], Any] = {}

    def names(self, handler: Mapping[str, Any], reserved: Collection[str]) -> ScopeNames:
        """Return the names that a handler's factory adds; none without a factory.

        Args:
            handler: The fields of its ``load`` frame.
            reserved: Names that may not be replaced, except by a factory that was written for mr.

        Raises:
            Misuse: The factory cannot be imported, raises an exception or returns no valid scope
                (kind ``scope``); the error names factory and handler.
        """
        workflow, name = handler["workflow"], handler["name"]
        path = self._paths.get(workflow) or self._paths.get(ANY_WORKFLOW)
        if path is None:
            return {}
        where = f"scope factory {path} of workflow {workflow} for handler {name}"
        try:
            names = self._make(path, is_shared=workflow not in self._paths)(handler)
        except (Exception, SystemExit) as error:
            if is_own_lack(error):
                raise StoreUnavailable(f"{where}: {_told(error)}") from error
            raise Misuse("scope", f"{where} failed: {_told(error)}") from error
        of_workflow = self._of_workflows.get((path, workflow))
        if isinstance(of_workflow, mr_modules.HandlerScopeFactory):
            reserved = ()  # what was written for mr could replace all names
        fault = _fault(names, reserved)
        if fault is not None:
            raise Misuse("scope", f"{where} {fault}")
        return names

    def _make(self, path: str, *, is_shared: bool) -> Callable[[Mapping[str, Any]], ScopeNames]:
        """Return a function of ``load`` frames that calls a factory of either style."""
        module, _, name = path.partition(":")
        mr_modules.offer()
        factory: Any = getattr(importlib.import_module(module), name)
        if hasattr(factory, _OLD_STYLE):
            return lambda handler: self._call_old(path, factory, handler)
        if is_shared:
            raise TypeError(f"for all workflows it must have {_OLD_STYLE}, which is told which")
        return lambda handler: factory(handler["name"], self._secrets)

    def _call_old(self, path: str, factory: Any, handler: Mapping[str, Any]) -> ScopeNames:
        of_workflow = self._of_workflow(path, factory, handler["workflow"])
        if of_workflow is None:
            return {}
        names: ScopeNames = of_workflow.get_scope(
            HandlerDefinition(
                workflow_name=handler["workflow"],
                handler_name=handler["name"],
                handler_type=handler["handler_type"],
                source_type=handler["source_type"],
                source_code=handler["source_code"],
                version=handler["version"],
                secrets=self._secrets,
                argument_spec=handler.get("argument_spec") or (),
            )
        )
        return names

    def _of_workflow(self, path: str, factory: Any, workflow: str) -> Any:
        """Return what a factory has for a workflow; it is asked once in each executor, as by mr."""
        key = (path, workflow)
        if key not in self._of_workflows:
            instance = factory() if isinstance(factory, type) else factory
            self._of_workflows[key] = instance.get_handler_scope_factory(Workflow(workflow))
        return self._of_workflows[key]


def _told(error: BaseException) -> str:
    """Return an exception as a line, with the operator's own line that it comes from."""
    told = describe(error)
    (place,) = traceback.extract_tb(error.__traceback__)[-1:]
    is_own = place.filename == __file__ or place.filename.startswith("<")
    where = "" if is_own else f" ({place.filename}, line {place.lineno})"
    return f"{told['type']}: {told['message']}{where}"


def _fault(names: object, reserved: Collection[str]) -> str | None:
    """Return the fault of a factory's result; None if there is none."""
    if not isinstance(names, Mapping):
        return f"returned a {type(names).__name__}, which is no mapping of names"
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
            return f"returned {shorten(name)}, which is no name"
        if name in reserved:
            return f"returned {name}, a name that JobX has for itself"
    return None
