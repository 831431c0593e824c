"""Which Python handlers are self-contained: they can change nothing of their process.

What handlers leave in an executor is looked for and put back, and looking takes as long as a small
invocation. After code that reaches nothing but its own names there is nothing to look for. Code
reaches the process by what it imports, by a few builtins and names of the scope, and by attributes
that lead from a function, a generator or an exception to where it was defined. Code with none of
these in its text is self-contained; whatever is not known to be harmless counts as one of them.

This saves time, it is no sandbox: nothing here withstands an author who means to get round it.
"""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Final

#: Names of the scope that concern the invocation alone.
_OF_SCOPE: Final = frozenset(
    {
        *("Map", "MrConfigureToMap", "Return", "MrConfigureToReturn"),
        *("S_GET", "S_SET", "S_LIST", "SEP", "JOIN", "REQUEST", "INVOCATION"),
        *("LOG", "NOTIFY", "EMAIL", "HTTP", "PRINT"),
    }
)
#: Builtin functions that do nothing but give a result, or write to the captured output; all
#: builtin classes do no more either.
_FUNCTIONS: Final = frozenset(
    {
        *("abs", "all", "any", "ascii", "bin", "callable", "chr", "divmod", "format", "hasattr"),
        *("hash", "hex", "id", "isinstance", "issubclass", "iter", "len", "max", "min", "next"),
        *("oct", "ord", "pow", "print", "repr", "round", "sorted", "sum", "Ellipsis"),
    }
)
#: Modules whose public functions change nothing that anybody else finds.
_MODULES: Final = frozenset(
    {
        *("__future__", "base64", "bisect", "collections", "collections.abc", "dataclasses"),
        *("datetime", "functools", "hashlib", "heapq", "html", "itertools", "json", "math", "re"),
        *("statistics", "string", "textwrap", "typing", "unicodedata"),
    }
)


def is_self_contained(module: ast.Module, scope: Collection[str]) -> bool:
    """Tell whether the code of a module can change nothing outside of it, by its text.

    Args:
        module: The syntax tree.
        scope: The names that it finds in its globals, next to the builtins.
    """
    modules = dict(_imported(module))
    if not _MODULES.issuperset(modules.values()):
        return False
    doors = {name for name, thing in vars(builtins).items() if not isinstance(thing, type)}
    doors |= set(scope)
    doors -= _FUNCTIONS | _OF_SCOPE
    return all(_is_harmless(node, doors, modules) for node in _nodes(module, modules))


def _imported(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that stand for modules, and which these are."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)


def _nodes(module: ast.Module, modules: Collection[str]) -> Iterator[ast.AST]:
    """Yield all nodes but the names of modules whose attributes are taken."""
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        yield node
        if not (isinstance(node, ast.Attribute) and _named(node.value) in modules):
            waiting += ast.iter_child_nodes(node)


def _is_harmless(node: ast.AST, doors: Collection[str], modules: Mapping[str, str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id not in doors and node.id not in modules and not node.id.startswith("__")
    if isinstance(node, ast.Attribute):
        base = _named(node.value)
        if not isinstance(node.ctx, ast.Load):
            return base == "self"
        return _leads_nowhere([node.attr]) and _are_things(modules.get(base), [node.attr])
    if isinstance(node, ast.ImportFrom):
        return node.module in _MODULES and _are_things(node.module, [a.name for a in node.names])
    return not isinstance(node, ast.MatchClass) or _leads_nowhere(node.kwd_attrs)


def _named(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _leads_nowhere(attributes: Iterable[str]) -> bool:
    return not any(name.startswith("_") or name.endswith("_frame") for name in attributes)


def _are_things(module: str | None, names: Iterable[str]) -> bool:
    """Tell whether names of a module are public and no modules that it imported itself."""
    if module is None:
        return True
    found = vars(importlib.import_module(module))
    return not any(name[0] in "_*" or isinstance(found.get(name), ModuleType) for name in names)
