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


def rename(module: ast.Module) -> None:
    """Give the methods of dictionaries in a syntax tree the names that they have now.

    A method that the module defines itself keeps its name.
    """
    nodes = list(ast.walk(module))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr not in own:
            node.attr = METHODS.get(node.attr, node.attr)
