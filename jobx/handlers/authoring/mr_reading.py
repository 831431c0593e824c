"""Where the code of a handler or a scope factory does what mr and Python 2 did otherwise.

This is decided by the text alone, so a finding may be about what never happens; what happens may
also be said in a way that is not recognised.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from jobx.handlers.authoring.mr_rules import ATTRIBUTES, BUILTINS, MODULES, SPECIAL
from jobx.handlers.files.files import FS
from jobx.handlers.scope.mr_modules import MODULES as MODULES_OF_MR

#: A line, the name of a rule, and what to write if that is more exact than the rule.
Finding: TypeAlias = tuple[int, str, str]

_MAPPED: Final = frozenset({"map", "filter", "zip"})
_VIEWS: Final = frozenset({"keys", "values", "items"})
#: Methods of lists that nothing else has.
_OF_LISTS: Final = frozenset(
    {"append", "extend", "index", "insert", "pop", "remove", "reverse", "sort"}
)
_FS_MODES: Final = frozenset({"r", "rt", "rb", "w", "wt", "wb"})
#: Arguments by position that mean the same as in PyFilesystem; all for other methods.
_FS_POSITIONS: Final = {"ls": 1, "open": 2, "rmdir": 1}
_LOG_SETTINGS: Final = frozenset(
    f"LOG.{name}" for name in ("addFilter", "addHandler", "removeHandler", "setLevel")
)
_OF_BYTES: Final = frozenset({"base64", "hashlib", "zlib"})
_TEXTS: Final = frozenset({"str", "unicode", "repr", "dumps", "join", "format"})
#: Functions that take a path first.
_OF_PATHS: Final = frozenset(
    {
        *("open", "os.listdir", "os.makedirs", "os.mkdir", "os.remove", "os.stat", "os.walk"),
        *("glob.glob", "os.path.exists", "os.path.isdir", "os.path.isfile", "shutil.rmtree"),
    }
)
_ENVIRONMENT: Final = frozenset({"os.environ.get", "os.getenv"})
#: Attributes of what a factory of mr was given, which are gone.
_OF_FACTORIES: Final = frozenset({"cast_arguments", "description", "handlers_state"})


@dataclass(frozen=True, slots=True)
class _Text:
    """A module, as far as the rules ask.

    Attributes:
        nodes: All nodes of its syntax tree.
        parents: The node around each node, by id.
        defined: Names of functions that it defines.
        environment: Variables that handlers may see.
    """

    nodes: Sequence[ast.AST]
    parents: Mapping[int, ast.AST]
    defined: Collection[str]
    environment: Collection[str] = field(default=())

    def around(self, node: ast.AST) -> ast.AST | None:
        """Return the node around another."""
        return self.parents.get(id(node))


def read(
    module: ast.Module, environment: Collection[str] = (), *, is_factory: bool = False
) -> list[Finding]:
    """Return what a module does otherwise, in the order of its lines.

    Args:
        module: Its syntax tree.
        environment: Environment variables that author code may see.
        is_factory: It has a scope factory, and is no handler.
    """
    nodes = list(ast.walk(module))
    parents = {id(inner): node for node in nodes for inner in ast.iter_child_nodes(node)}
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    text = _Text(nodes, parents, defined, environment)
    found: set[Finding] = set()
    for look in (*_OF_PYTHON, _factory) if is_factory else (*_OF_PYTHON, *_OF_HANDLERS):
        found.update(look(text))
    return sorted(found)


def _division(text: _Text) -> Iterator[Finding]:
    imports = (node for node in text.nodes if isinstance(node, ast.ImportFrom))
    if any(alias.name == "division" for node in imports for alias in node.names):
        return
    for node in text.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            operands = [node.left, node.right]
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
            operands = [node.value]
        else:
            continue
        parts = (one for operand in operands for one in (operand, *ast.iter_child_nodes(operand)))
        if not any(map(_is_fraction, parts)):
            yield node.lineno, "division", ""


def _is_fraction(node: ast.AST) -> bool:
    """Tell whether a value is surely no whole number, and so what is made of it."""
    if isinstance(node, ast.Call):
        return _dotted(node.func) == "float"
    return isinstance(node, ast.Constant) and isinstance(node.value, float | str)


def _lists(text: _Text) -> Iterator[Finding]:
    kinds: dict[str, str] = {}
    for node in text.nodes:
        if isinstance(node, ast.Assign) and (kind := _kind(node.value)):
            kinds |= {name.id: kind for name in node.targets if isinstance(name, ast.Name)}
    for node in text.nodes:
        kind = _kind(node) or (kinds.get(node.id, "") if isinstance(node, ast.Name) else "")
        if kind and _is_used_as_list(node, text.around(node), kind):
            yield getattr(node, "lineno", 0), "lists", ""


def _kind(node: ast.AST) -> str:
    """Return which call that gave a list a node is; empty: none."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS and not node.args:
        return "view"
    if isinstance(node.func, ast.Name) and node.func.id in _MAPPED:
        return "mapped"
    return "range" if _dotted(node.func) == "range" else ""


def _is_used_as_list(node: ast.AST, around: ast.AST | None, kind: str) -> bool:
    if isinstance(around, ast.Subscript):
        return kind != "range" and around.value is node
    if isinstance(around, ast.Attribute):
        return around.attr in _OF_LISTS
    if isinstance(around, ast.Call) and kind == "mapped":
        return _dotted(around.func) == "len"
    return isinstance(around, ast.BinOp) and isinstance(around.op, ast.Add)


def _calls(text: _Text) -> Iterator[Finding]:
    for node in text.nodes:
        if not isinstance(node, ast.Call):
            continue
        name, keywords = _last(node.func), {keyword.arg for keyword in node.keywords}
        is_method = isinstance(node.func, ast.Attribute)
        if name == "next" and is_method and not node.args and "next" not in text.defined:
            yield node.lineno, "next", ""
        if name in {"sort", "sorted"} and ("cmp" in keywords or len(node.args) > (not is_method)):
            yield node.lineno, "cmp", ""
        if _dotted(node.func).partition(".")[0] in _OF_BYTES and any(map(_is_text, node.args[:1])):
            yield node.lineno, "bytes", ""


def _is_text(node: ast.AST) -> bool:
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        node = node.left
    if isinstance(node, ast.Call):
        return _last(node.func) in _TEXTS
    is_constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_constant or isinstance(node, ast.JoinedStr)


def _prints(text: _Text) -> Iterator[Finding]:
    for node in text.nodes:
        if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.RShift):
            continue
        if _dotted(node.left) == "print":
            yield node.lineno, "print", ""


def _messages(text: _Text) -> Iterator[Finding]:
    handlers = [node for node in text.nodes if isinstance(node, ast.ExceptHandler) and node.name]
    for handler in handlers:
        for node in ast.walk(handler):
            if isinstance(node, ast.Attribute) and _dotted(node) == f"{handler.name}.message":
                yield node.lineno, "message", f"`str({handler.name})`"


def _imports(text: _Text) -> Iterator[Finding]:
    for line, module, name in _imported(text):
        top = module.partition(".")[0]
        if top in MODULES:
            yield line, "modules", f"`{MODULES[top]}`"
        if (module, name) in ATTRIBUTES:
            yield line, "attributes", f"`{ATTRIBUTES[module, name]}`"
        whole = f"{module}.{name}" if module in MODULES_OF_MR[:-1] and name else module
        if top == "mr" and whole not in MODULES_OF_MR:
            yield line, "mr", ""
        if top == "fs":
            yield line, "fs-errors", ""


def _imported(text: _Text) -> Iterator[tuple[int, str, str]]:
    """Yield line, module and the name that is taken from it, if any."""
    for node in text.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)


def _names(text: _Text) -> Iterator[Finding]:
    bound = {node.id for node in text.nodes if isinstance(node, ast.Name) and _is_stored(node)}
    bound |= {node.arg for node in text.nodes if isinstance(node, ast.arg)} | set(text.defined)
    for node in text.nodes:
        if isinstance(node, ast.Attribute):
            module, _, name = _dotted(node).partition(".")
            if (module, name) in ATTRIBUTES:
                yield node.lineno, "attributes", f"`{ATTRIBUTES[module, name]}`"
        elif isinstance(node, ast.Name) and node.id in BUILTINS and node.id not in bound:
            yield node.lineno, "builtins", f"`{BUILTINS[node.id]}`"


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _special(text: _Text) -> Iterator[Finding]:
    for node in text.nodes:
        if isinstance(node, ast.ClassDef):
            made = {name: inner.lineno for inner in node.body for name in _made(inner)}
            for name in made.keys() & SPECIAL.keys():
                if SPECIAL[name] not in made:
                    yield made[name], "special", f"`{SPECIAL[name]}`"


def _made(statement: ast.stmt) -> list[str]:
    """Return the names that a statement in the body of a class defines."""
    if isinstance(statement, ast.Assign):
        return [name.id for name in statement.targets if isinstance(name, ast.Name)]
    return [statement.name] if isinstance(statement, ast.FunctionDef) else []


def _files(text: _Text) -> Iterator[Finding]:
    for node in text.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "uri":
            yield node.lineno, "fs-uri", ""
        if not isinstance(node, ast.Call) or not _dotted(node.func).startswith("FS."):
            continue
        method = _last(node.func)
        if method == "open" and not _has_known_mode(node):
            yield node.lineno, "fs-mode", ""
        known = _fs_parameters(method)
        most = _FS_POSITIONS.get(method, len(known))
        unknown = [one.arg for one in node.keywords if one.arg and one.arg not in known]
        if unknown or len(node.args) > most:
            yield node.lineno, "fs-arguments", ""


def _has_known_mode(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "mode")]
    return all(not isinstance(one, ast.Constant) or one.value in _FS_MODES for one in modes)


def _fs_parameters(method: str) -> list[str]:
    function = getattr(FS, method, None)
    return list(inspect.signature(function).parameters)[1:] if function else []


def _surroundings(text: _Text) -> Iterator[Finding]:
    for node in text.nodes:
        if isinstance(node, ast.Attribute) and _dotted(node) in _LOG_SETTINGS:
            yield node.lineno, "log", ""
        variable = _variable(node)
        if variable is not None and variable not in text.environment:
            yield getattr(node, "lineno", 0), "environment", ""
        if isinstance(node, ast.Call) and _dotted(node.func) in _OF_PATHS and node.args:
            path: Any = getattr(node.args[0], "value", None)
            if isinstance(path, str) and not path.startswith(("/", "~")):
                yield node.lineno, "relative", ""


def _variable(node: ast.AST) -> str | None:
    """Return the environment variable that a node reads; empty: one that is not told."""
    if isinstance(node, ast.Call) and _dotted(node.func) in _ENVIRONMENT and node.args:
        name: Any = node.args[0]
    elif isinstance(node, ast.Subscript) and _dotted(node.value) == "os.environ":
        name = node.slice
    else:
        return None
    return str(name.value) if isinstance(name, ast.Constant) else ""


def _factory(text: _Text) -> Iterator[Finding]:
    for node in text.nodes:
        if isinstance(node, ast.Attribute) and node.attr in _OF_FACTORIES:
            yield node.lineno, "factory", ""


def _dotted(node: ast.AST) -> str:
    """Return names and attributes as they are written, ``a.b.c``; empty for all else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _last(node: ast.AST) -> str:
    """Return the name that is called, or the last one of several."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


_Look: TypeAlias = Callable[[_Text], Iterator[Finding]]
_OF_PYTHON: Final[tuple[_Look, ...]] = (
    *(_division, _lists, _calls, _prints, _messages, _imports, _names, _special),
)
_OF_HANDLERS: Final[tuple[_Look, ...]] = (_files, _surroundings)
