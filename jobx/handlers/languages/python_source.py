"""What the text of a Python handler says, without running any of it."""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final, TypeAlias

from jobx.errors import InvalidInput
from jobx.handlers.languages.base import Checked
from jobx.handlers.tracebacks import filename

HANDLER: Final = "handler"
Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_NEW_SCOPES: Final = (*_DEFINITIONS, ast.ClassDef, ast.Lambda)
_MARKERS: Final = frozenset({"Map", "MrConfigureToMap", "MrConfigureToReturn", "Return"})
#: Functions that do not return.
_ENDINGS: Final = frozenset({"_exit", "abort", "exit", "quit"})
#: Signatures that were meant to be another one.
_SWAPPED: Final = frozenset({"arguments", "results", "values"})


@dataclass(frozen=True, slots=True)
class Outline:
    """A module, parsed.

    Attributes:
        module: Its syntax tree.
        definition: The ``handler`` of the module form, None for bare statements.
        yields: The handler is a generator.
        returned: The statements with which it returns a value.
    """

    module: ast.Module
    definition: Definition | None
    yields: bool
    returned: Sequence[ast.Return]

    @property
    def body(self) -> list[ast.stmt]:
        """The statements of the handler."""
        return self.definition.body if self.definition else self.module.body

    @property
    def loses(self) -> bool:
        """Whether the handler is a generator that returns a value, which nobody sees."""
        return self.yields and bool(self.returned)


def parse(source_code: str, name: str) -> Outline:
    """Return the outline of a source.

    Raises:
        InvalidInput: It is not Python.
    """
    with _faults_named():
        module = ast.parse(source_code, filename(name))
    is_bare = any(map(_is_yield, _own(module.body)))
    definition = None if is_bare else _definition(module)
    owned = list(_own(definition.body if definition else module.body))
    returned = [node for node in owned if isinstance(node, ast.Return) and _has_value(node)]
    return Outline(module, definition, any(map(_is_yield, owned)), returned)


def compiled(outline: Outline, file: str, handler_type: str) -> CodeType:
    """Return code that defines the handler, and has ``file`` in tracebacks.

    Raises:
        InvalidInput: It is no code.
    """
    module = outline.module if outline.definition else _as_function(outline, handler_type)
    with _faults_named():
        return compile(module, file, "exec", dont_inherit=True)


def check_signature(definition: Definition, handler_type: str) -> Checked:
    """Return what the signature of a handler says.

    Raises:
        InvalidInput: It is not one that is called.
    """
    line, text = definition.lineno, f"def {HANDLER}({ast.unparse(definition.args)})"
    if isinstance(definition, ast.AsyncFunctionDef):
        raise _wrong_at(line, f"async {text}", "a handler cannot be async")
    given = definition.args
    if given.vararg or given.kwarg or given.posonlyargs:
        raise _wrong_at(line, text, "a handler takes named parameters only")
    names = tuple(parameter.arg for parameter in given.args + given.kwonlyargs)
    if handler_type == "mapper":
        whole = names in (("arguments",), ("key", "value"))
        return Checked(False, () if whole else names, tuple(by_default(given)[1]))
    if len(names) not in (1, 2) or given.kwonlyargs or (names[:-1] and names[0] in _SWAPPED):
        raise _wrong_at(line, text, f"a {handler_type} takes (key, values) or (results)")
    return Checked(per_key=len(names) == 2)


def by_default(given: ast.arguments) -> tuple[list[str], list[str]]:
    """Return the names of parameters without default, and of those with one."""
    defaults = [None] * (len(given.args) - len(given.defaults)) + list(given.defaults)
    positional = zip(given.args, defaults, strict=True)
    parameters = [*positional, *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    required = [parameter.arg for parameter, default in parameters if default is None]
    optional = [parameter.arg for parameter, default in parameters if default is not None]
    return required, optional


def check_gives(outline: Outline) -> None:
    """Refuse a handler that gives nothing whatever happens, or drops what it gives.

    Raises:
        InvalidInput: The message names the line, and says what to do.
    """
    _check_calls(outline)
    if outline.loses:
        reason = "what a handler returns in addition to its yields is lost: yield it as well"
        raise _wrong(outline.returned[0], reason)
    definition = outline.definition
    if outline.yields or outline.returned:
        if definition is None and (unused := _unused_handler(outline.module)) is not None:
            reason = "nobody calls it, because the file yields or returns outside it"
            raise _wrong(unused, reason)
        return
    if definition is None:
        raise _no_handler(outline.module)
    if not _never_returns(definition.body[-1]):
        raise _wrong(definition, "it gives nothing: yield pairs, or return an iterable of them")


def _never_returns(last: ast.stmt) -> bool:
    """Tell whether a last statement surely fails or goes on for ever, so nothing gets lost."""
    if isinstance(last, ast.While):
        is_endless = isinstance(last.test, ast.Constant) and bool(last.test.value)
        return is_endless and not any(isinstance(node, ast.Break) for node in _own([last]))
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        called = last.value.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in _ENDINGS
    return isinstance(last, ast.Raise)


def _check_calls(outline: Outline) -> None:
    """Refuse calls whose result is dropped, though all they do is give one."""
    made = {
        node.name: isinstance(node, ast.AsyncFunctionDef)
        for node in ast.walk(outline.module)
        if isinstance(node, _DEFINITIONS)
        and (isinstance(node, ast.AsyncFunctionDef) or any(map(_is_yield, _own(node.body))))
    }
    for node in _own(outline.body):
        name = _called(node)
        if name in _MARKERS and name not in made:
            raise _wrong(node, f"a marker counts when it is yielded: yield {name}(…)")
        if name in made:
            what = "await" if made[name] else "yield from"
            raise _wrong(node, f"what it gives is dropped: {what} {name}(…)")


def _called(node: ast.AST) -> str:
    """Return the name that a statement calls without using the result, '' when it is none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        return called.id if isinstance(called, ast.Name) else ""
    return ""


def _unused_handler(module: ast.Module) -> Definition | None:
    definition = _definition(module)
    names = (node.id for node in ast.walk(module) if isinstance(node, ast.Name))
    return None if definition is None or HANDLER in names else definition


def _no_handler(module: ast.Module) -> InvalidInput:
    """Return why a file without any yield or return is no handler, at the nearest thing to one."""
    for node in _own(module.body):
        for found, is_misplaced in (*_named(node), (node, node not in module.body)):
            if getattr(found, "name", None) != HANDLER:
                continue
            if isinstance(found, ast.ClassDef):
                return _wrong(found, "a handler is a function: def handler(…)")
            if is_misplaced and isinstance(found, _DEFINITIONS):
                return _wrong(found, "def handler(…) must be at the top level of the file")
        if _binds_handler(node):
            return _wrong(node, "a handler is defined in its file: def handler(…), which may call")
    functions = {node.name: node for node in module.body if isinstance(node, _DEFINITIONS)}
    near = difflib.get_close_matches(HANDLER, functions, 1, 0.0)
    if near:
        reason = f"no function is called {HANDLER}: name this one {HANDLER}"
        return _wrong(functions[near[0]], reason)
    reason = "it gives nothing: it has no function handler, no yield and no return"
    return _wrong(module.body[-1], reason) if module.body else _wrong_at(1, "", reason)


def _named(node: ast.AST) -> list[tuple[ast.AST, bool]]:
    """Return the definitions in the body of a class, which nobody calls."""
    return [(inner, True) for inner in node.body] if isinstance(node, ast.ClassDef) else []


def _binds_handler(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) == HANDLER for alias in node.names)
    return isinstance(node, ast.Name) and node.id == HANDLER and isinstance(node.ctx, ast.Store)


def _definition(module: ast.Module) -> Definition | None:
    for statement in reversed(module.body):
        if isinstance(statement, _DEFINITIONS) and statement.name == HANDLER:
            return statement
    return None


def _own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield what stands in statements, but not in functions and classes in them; in order.

    A loop, since an expression may nest deeper than the stack.
    """
    waiting = [*body][::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _NEW_SCOPES):
            waiting += [*ast.iter_child_nodes(node)][::-1]


def _is_yield(node: ast.AST) -> bool:
    return isinstance(node, ast.Yield | ast.YieldFrom)


def _has_value(node: ast.Return) -> bool:
    value = node.value
    return value is not None and not (isinstance(value, ast.Constant) and value.value is None)


def _as_function(outline: Outline, handler_type: str) -> ast.Module:
    """Return a module that defines a function with the bare statements as its body."""
    body = list(outline.module.body)
    if body and _is_docstring(body[0]):
        del body[0]
    futures = [node for node in body if _is_future(node)]
    body = [node for node in body if not _is_future(node)]
    parameter = "arguments" if handler_type == "mapper" else "results"
    wrapped = ast.parse(f"def {HANDLER}({parameter}): pass")
    function: Any = wrapped.body[0]
    function.body = [*body, *function.body]
    wrapped.body = [*futures, function]
    return wrapped


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


@contextmanager
def _faults_named() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the author's style is not ours to judge
        try:
            yield
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise _invalid(error) from error


def _invalid(error: BaseException) -> InvalidInput:
    if isinstance(error, SyntaxError):
        return _wrong_at(error.lineno or 1, (error.text or "").strip(), error.msg)
    return InvalidInput("handler source", "source code", f"it cannot be compiled: {error}")


def _wrong(node: Any, reason: str) -> InvalidInput:
    if isinstance(node, _DEFINITIONS):
        text = f"def {node.name}({ast.unparse(node.args)})"
    elif isinstance(node, ast.ClassDef):
        text = f"class {node.name}"
    else:
        text = ast.unparse(node)
    return _wrong_at(node.lineno, text.split("\n", 1)[0], reason)


def _wrong_at(line: int, text: str, reason: str) -> InvalidInput:
    return InvalidInput(f"handler source, line {line}", text[:80], reason)
