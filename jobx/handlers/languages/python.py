"""Handlers in Python, in two forms.

*Bare statements* are the body of a generator over ``arguments`` (mapper) or ``results``. A *module*
defines ``handler`` at its top level. Source that yields at its top level is bare statements even
when it defines a ``handler``.
"""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, starmap
from types import CodeType, GeneratorType
from typing import Any, Final

from jobx.errors import InvalidInput
from jobx.handlers import arguments as args
from jobx.handlers.arguments import Arguments
from jobx.handlers.failures import filename, show_source
from jobx.handlers.guests import Guests
from jobx.handlers.languages.base import Checked, Grouped, Loaded, yielded
from jobx.handlers.scope import Scope
from jobx.values import Key, Value

_HANDLER: Final = "handler"
_Run = Callable[..., "Iterable[object] | None"]
_NEW_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Python:
    """The processor for Python."""

    endings = (".py",)

    def read(self, source_code: str, handler_type: str) -> Checked:
        """Check source code without running any of it.

        Raises:
            InvalidInput: A syntax error or a wrong signature; the message names the line.
        """
        module = _parse(source_code, _HANDLER)
        definition = _definition(module)
        _compile(module if definition else _as_function(module, handler_type), _HANDLER)
        if definition is None:
            return Checked()
        return _check_signature(definition, handler_type)

    check = read

    def load(self, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        """Make a handler ready to run; the top level of a module runs now.

        Raises:
            InvalidInput: The source is wrong.
            BaseException: Whatever its top level raises.
        """
        name, handler_type = handler["name"], handler["handler_type"]
        module = _parse(handler["source_code"], name)
        definition = _definition(module)
        checked = Checked()
        if definition is None:
            module = _as_function(module, handler_type)
        else:
            checked = _check_signature(definition, handler_type)
        code = _compile(module, name)
        show_source(name, handler["source_code"])
        names = scope.names(name)
        exec(code, names)  # noqa: S102 - this is what an executor is for
        run: Any = names[_HANDLER]
        if handler_type == "mapper":
            run = _mapper(run, definition, checked, handler.get("argument_spec") or ())
        else:
            run = _over_keys(run) if checked.per_key else _over_results(run)
        per_key = checked.per_key or handler.get("per_key", False)
        return Loaded(name, per_key, run, in_any_order=checked.per_key)


def _parse(source_code: str, name: str) -> ast.Module:
    with _faults_named():
        return ast.parse(source_code, filename(name))


def _compile(module: ast.Module, name: str) -> CodeType:
    with _faults_named():
        return compile(module, filename(name), "exec", dont_inherit=True)


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


def _wrong_at(line: int, text: str, reason: str) -> InvalidInput:
    return InvalidInput(f"handler source, line {line}", text[:80], reason)


def _definition(module: ast.Module) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the top-level ``handler`` of the module form, None for bare statements."""
    with _faults_named():  # an expression may nest deeper than the stack
        yields = any(map(_yields, module.body))
    if yields:
        return None
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for statement in reversed(module.body):
        if isinstance(statement, definitions) and statement.name == _HANDLER:
            return statement
    return None


def _yields(node: ast.AST) -> bool:
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return True
    if isinstance(node, _NEW_SCOPES):
        return False
    return any(map(_yields, ast.iter_child_nodes(node)))


def _as_function(module: ast.Module, handler_type: str) -> ast.Module:
    """Return a module that defines a generator with the bare statements as its body."""
    body = list(module.body)
    if body and _is_docstring(body[0]):
        del body[0]
    futures = [node for node in body if _is_future(node)]
    body = [node for node in body if not _is_future(node)]
    parameter = "arguments" if handler_type == "mapper" else "results"
    # A function is a generator if a yield stands in it, also one that is never reached.
    wrapped = ast.parse(f"def {_HANDLER}({parameter}):\n if False: yield")
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


def _check_signature(
    definition: ast.FunctionDef | ast.AsyncFunctionDef, handler_type: str
) -> Checked:
    line, text = definition.lineno, f"def {_HANDLER}({ast.unparse(definition.args)})"
    if isinstance(definition, ast.AsyncFunctionDef):
        raise _wrong_at(line, f"async {text}", "a handler cannot be async")
    given = definition.args
    if given.vararg or given.kwarg or given.posonlyargs:
        raise _wrong_at(line, text, "a handler takes named parameters only")
    names = tuple(parameter.arg for parameter in given.args + given.kwonlyargs)
    if handler_type == "mapper":
        whole = names in (("arguments",), ("key", "value"))
        return Checked(parameters=() if whole else names)
    if len(names) not in (1, 2) or given.kwonlyargs:
        raise _wrong_at(line, text, f"a {handler_type} takes (key, values) or (results)")
    return Checked(per_key=len(names) == 2)


def _mapper(
    run: _Run,
    definition: ast.FunctionDef | ast.AsyncFunctionDef | None,
    checked: Checked,
    spec: args.Spec,
) -> _Run:
    """Return a function of ``Arguments`` that starts a mapper of any form."""
    required, optional = _by_default(definition.args) if definition else ([], [])

    def by_name(arguments: Arguments) -> Iterable[object] | None:
        return run(**args.bind(arguments, required, optional))

    def by_pair(arguments: Arguments) -> Iterable[object] | None:
        return run(*arguments.only_pair())

    start = run
    if checked.parameters or (definition and not required):
        start = by_name
    elif len(required) == 2:
        start = by_pair
    if not spec:
        return start
    return lambda arguments: start(args.cast(arguments, spec, optional))


class Results:
    """What a combiner or reducer of the form ``handler(results)`` is given."""

    __slots__ = ("_grouped",)

    def __init__(self, grouped: Grouped) -> None:
        self._grouped = grouped

    def __iter__(self) -> Iterator[tuple[Key, Sequence[Value]]]:
        return iter(self._grouped)


def _over_results(run: _Run) -> _Run:
    return lambda grouped: run(Results(grouped))


def _over_keys(run: _Run) -> _Run:
    if inspect.isgeneratorfunction(run):
        return lambda grouped: chain.from_iterable(starmap(run, grouped))

    def over_keys(grouped: Grouped) -> Iterator[object]:
        for key, listed in grouped:
            result = run(key, listed)
            if type(result) is GeneratorType:
                yield from result
            else:
                yield from yielded(result)

    return over_keys


def _by_default(given: ast.arguments) -> tuple[list[str], list[str]]:
    """Return the names of parameters without default, and of those with one."""
    defaults = [None] * (len(given.args) - len(given.defaults)) + list(given.defaults)
    positional = zip(given.args, defaults, strict=True)
    parameters = [*positional, *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    required = [parameter.arg for parameter, default in parameters if default is None]
    optional = [parameter.arg for parameter, default in parameters if default is not None]
    return required, optional
