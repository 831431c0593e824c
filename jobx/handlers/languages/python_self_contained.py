"""Which Python handlers are self-contained: they can change nothing of their process.

What handlers leave in an executor is looked for and put back, and looking takes as long as a small
invocation. After code that reaches nothing but its own names there is nothing to look for. Code
reaches the process by what it imports, by a few builtins and names of the scope, and by attributes
that lead from a function, a generator or an exception to where it was defined. Code with none of
these in its text is self-contained; whatever is not known to be harmless counts as one of them.
An imported function or class that can be changed is called, or names a type, and no more.

This saves time, it is no sandbox: nothing here withstands an author who means to get round it.
"""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timezone
from types import BuiltinFunctionType
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
#: Modules whose public functions and classes change nothing that anybody else finds, but for some.
_MODULES: Final = frozenset(
    {
        *("__future__", "base64", "bisect", "collections", "collections.abc", "dataclasses"),
        *("datetime", "functools", "hashlib", "heapq", "html", "itertools", "json", "math", "re"),
        *("statistics", "string", "textwrap", "typing", "unicodedata"),
    }
)
#: Functions and classes of these modules that lead further: they take attributes by name, run
#: text, or keep what they are given.
_LEADING: Final = frozenset(
    {
        *("dataclasses.make_dataclass", "string.Formatter", "typing.ForwardRef"),
        *("typing.clear_overloads", "typing.get_overloads", "typing.get_type_hints"),
        *("typing.no_type_check_decorator", "typing.overload", "functools.update_wrapper"),
    }
)
#: Those that change what they are given: above a function or class, that is the author's own.
_DECORATORS: Final = frozenset(
    {
        *("dataclasses.dataclass", "functools.total_ordering", "functools.wraps"),
        *("typing.dataclass_transform", "typing.final", "typing.no_type_check"),
        "typing.runtime_checkable",
    }
)
#: Types of a module's constants that nobody can change.
_IMMUTABLE: Final = (str, bytes, int, float, timezone)
#: What a class may have for all its instances, and anybody may change.
_CHANGEABLE: Final = (bytearray, dict, list, set)
#: Flag of the classes whose attributes can be set; those of C code have it seldom.
_IMMUTABLE_TYPE: Final = 1 << 8
_HEAP_TYPE: Final = 1 << 9
_SELF: Final = "self"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known about the names of a module before its nodes are judged.

    Attributes:
        doors: Names that lead out of it.
        modules: Names that refer to modules, and which these are.
        decorators: Names that refer to one of _DECORATORS.
        decorating: The nodes, by id, that stand above a function or class.
        changeable: Imported names of functions and classes whose attributes can be set.
        used: The nodes, by id, that are called, or name a type: that changes nothing.
        selves: The first parameters of methods, by id.
    """

    doors: Collection[str]
    modules: Mapping[str, str]
    decorators: Collection[str]
    decorating: Collection[int]
    changeable: Collection[str]
    used: Collection[int]
    selves: Collection[int]


def is_self_contained(module: ast.Module, scope: Collection[str]) -> bool:
    """Tell whether the code of a module can change nothing outside of it, by its text.

    Args:
        module: The syntax tree.
        scope: The names that it finds in its globals, next to the builtins.
    """
    nodes = [*ast.walk(module)]
    imported = [one for node in nodes if isinstance(node, ast.Import) for one in _imported(node)]
    modules = {name: which for name, which, _ in imported}
    if any(full not in _MODULES or modules[name] != which for name, which, full in imported):
        return False
    doors = {name for name, thing in vars(builtins).items() if not isinstance(thing, type)}
    doors |= set(scope)
    doors -= _FUNCTIONS | _OF_SCOPE
    parts = [
        (alias.asname or alias.name, f"{node.module}", alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    decorating = _ids(_decorating(nodes))
    known = _Known(
        doors,
        modules,
        {name for name, which, part in parts if f"{which}.{part}" in _DECORATORS},
        decorating,
        {name for name, which, part in parts if which in _MODULES and _is_changeable(which, part)},
        decorating | _ids(_used(nodes)),
        _ids(_selves(nodes)),
    )
    return all(_is_harmless(node, known) for node in _nodes(module, modules))


def _imported(node: ast.Import) -> Iterator[tuple[str, str, str]]:
    """Yield names that come to refer to modules, which these are, and what is loaded for it."""
    for alias in node.names:
        first = alias.name.partition(".")[0]
        yield alias.asname or first, alias.name if alias.asname else first, alias.name


def _decorating(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        for decorator in getattr(node, "decorator_list", ()):
            yield decorator.func if isinstance(decorator, ast.Call) else decorator


def _ids(nodes: Iterable[ast.AST]) -> frozenset[int]:
    return frozenset(map(id, nodes))


def _used(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield what is called, and all that stands where types are named."""
    for node in nodes:
        types: list[ast.AST | None] = []
        if isinstance(node, ast.Call):
            yield node.func
            if _named(node.func) in ("isinstance", "issubclass"):
                types = [*node.args[1:]]
        elif isinstance(node, ast.ClassDef):
            types = [*node.bases]
        elif isinstance(node, ast.ExceptHandler):
            types = [node.type]
        elif isinstance(node, ast.AnnAssign | ast.arg):
            types = [node.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            types = [node.returns]
        for one in types:
            yield from _types_in(one)


def _types_in(node: ast.AST | None) -> Iterator[ast.AST]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield node
    elif isinstance(node, ast.Tuple | ast.List | ast.BinOp | ast.Subscript):
        for one in ast.iter_child_nodes(node):
            yield from _types_in(one)


def _selves(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the first parameters of methods."""
    for node in nodes:
        for one in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from [*one.args.posonlyargs, *one.args.args][:1]


def _nodes(module: ast.Module, modules: Collection[str]) -> Iterator[ast.AST]:
    """Yield all nodes but the names of modules whose attributes are taken."""
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        yield node
        if not (isinstance(node, ast.Attribute) and _named(node.value) in modules):
            waiting += ast.iter_child_nodes(node)


def _is_harmless(node: ast.AST, known: _Known) -> bool:
    if isinstance(node, ast.Name):
        return _is_own(node, known)
    if isinstance(node, ast.Attribute):
        base = _named(node.value)
        if not isinstance(node.ctx, ast.Load):
            return base == _SELF
        module = known.modules.get(base)
        is_above = id(node) in known.decorating
        return _leads_nowhere([node.attr]) and (
            module is None
            or (
                _is_thing(module, node.attr, decorates=is_above)
                and (id(node) in known.used or not _is_changeable(module, node.attr))
            )
        )
    if isinstance(node, ast.ImportFrom):
        return not node.level and all(
            node.module in _MODULES and _is_thing(node.module, alias.name, decorates=True)
            for alias in node.names
        )
    if isinstance(node, ast.alias):
        return _SELF not in (node.asname or node.name).split(".")
    if isinstance(node, ast.arg):
        return node.arg != _SELF or id(node) in known.selves
    if _SELF in (getattr(node, "name", ""), getattr(node, "rest", "")):
        return False
    return not isinstance(node, ast.MatchClass) or _leads_nowhere(node.kwd_attrs)


def _is_own(node: ast.Name, known: _Known) -> bool:
    """Tell whether a name refers to something of the module's own, or leads nowhere."""
    name = node.id
    if name in known.doors or name in known.modules or name.startswith("__"):
        return False
    if name in known.changeable and id(node) not in known.used:
        return False
    if name in known.decorators:
        return id(node) in known.decorating
    return name != _SELF or isinstance(node.ctx, ast.Load)


def _named(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _leads_nowhere(attributes: Iterable[str]) -> bool:
    return not any(
        name.startswith("_") or name.endswith("_frame") or name == "register" for name in attributes
    )


def _is_thing(module: str, name: str, *, decorates: bool) -> bool:
    """Tell whether a name of a module is a public function, class or constant that is harmless.

    Not a module or anything else that it imported itself, nor data that may be changed.

    Args:
        module: The module.
        name: The name.
        decorates: It may be one that changes what it is given.
    """
    if module == "__future__":
        return True
    full, found = f"{module}.{name}", vars(importlib.import_module(module))
    if name[0] in "_*" or name not in found.get("__all__", found) or full in _LEADING:
        return False
    thing = found.get(name)
    is_harmless = callable(thing) or isinstance(thing, _IMMUTABLE)
    if isinstance(thing, type):
        public = (getattr(thing, one, None) for one in dir(thing) if one[0] != "_")
        is_harmless = not any(isinstance(one, _CHANGEABLE) for one in public)
    return is_harmless and (decorates or full not in _DECORATORS)


def _is_changeable(module: str, name: str) -> bool:
    """Tell whether a function or class of a module can be changed by who gets hold of it."""
    thing = vars(importlib.import_module(module)).get(name)
    if isinstance(thing, type):
        return bool(thing.__flags__ & _HEAP_TYPE and not thing.__flags__ & _IMMUTABLE_TYPE)
    return not isinstance(thing, (*_IMMUTABLE, BuiltinFunctionType))
