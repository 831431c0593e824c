"""What Python 2 called differently, in handlers in the form of mr."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Final

#: Methods that are gone, each with one that does the same.
METHODS: Final[Mapping[str, str]] = {
    "has_key": "__contains__",
    **{f"{kind}{name}": name for kind in ("iter", "view") for name in ("items", "keys", "values")},
}


def is_only_iterated(module: ast.Module, name: str) -> bool:
    """Tell whether a module does nothing with a name but iterate over it."""
    nodes = list(ast.walk(module))
    loops = (node.iter for node in nodes if isinstance(node, ast.For | ast.comprehension))
    iterated = {id(node) for node in loops}
    named = (node for node in nodes if isinstance(node, ast.Name) and node.id == name)
    return all(id(node) in iterated for node in named)


def rename(module: ast.Module) -> None:
    """Give the methods of dictionaries in a syntax tree the names that they have now.

    A method that the module defines itself keeps its name.
    """
    nodes = list(ast.walk(module))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr not in own:
            node.attr = METHODS.get(node.attr, node.attr)
