"""Handlers in Python, in two forms.

*Bare statements* are the body of a function over ``arguments`` (mapper) or ``results``. A *module*
defines ``handler`` at its top level. Source that yields at its top level is bare statements, and
so is one that returns there and defines no ``handler``.
"""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import chain, starmap
from types import GeneratorType
from typing import Any, Final

from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.languages import python_mr
from jobx.handlers.languages import python_source as source
from jobx.handlers.languages.base import Checked, Grouped, Loaded
from jobx.handlers.languages.guests import Guests
from jobx.handlers.languages.python_module import OWN_NAMES, module_of
from jobx.handlers.languages.python_self_contained import is_self_contained
from jobx.handlers.languages.python_source import HANDLER, Definition, Outline
from jobx.handlers.markers import Map, Return
from jobx.handlers.pairs.checking import yielded
from jobx.handlers.scope import arguments as args
from jobx.handlers.scope import mr_form
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import filename
from jobx.values import Key, Value

_Run = Callable[..., "Iterable[object] | None"]
_PAIR: Final = 2


class Python:
    """The processor for Python."""

    endings = (".py",)

    def read(self, source_code: str, handler_type: str) -> Checked:
        """Tell what the signature says.

        Raises:
            InvalidInput: A syntax error or a wrong signature; the message names the line.
        """
        return _checked(source.parse(source_code, HANDLER), handler_type)

    def check(self, source_code: str, handler_type: str) -> Checked:
        """Check source code without running any of it.

        Raises:
            InvalidInput: A syntax error, a wrong signature, or a handler that cannot give anything
                or loses what it gives; the message names the line.
        """
        outline = source.parse(source_code, HANDLER)
        source.compiled(outline, filename(HANDLER), handler_type)
        checked = _checked(outline, handler_type)
        source.check_gives(outline)
        return checked

    def load(self, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        """Make a handler ready to run; the top level of a module runs now.

        Raises:
            InvalidInput: The source is wrong.
            BaseException: Whatever its top level raises.
        """
        name, handler_type = handler["name"], handler["handler_type"]
        spec = handler.get("argument_spec") or ()
        is_of_mr = mr_form.is_mr_form(handler["source_type"], handler_type, spec)
        outline = source.parse(handler["source_code"], name)
        if is_of_mr:
            python_mr.rename(outline.module)
        checked = _checked(outline, handler_type)
        tree = outline.module
        names = scope.names(name) | (mr_form.names(scope) if is_of_mr else {})
        is_alone = not scope.own and is_self_contained(tree, OWN_NAMES.union(names))
        with module_of(handler, tree, names, guests.folder, has_file=not is_alone) as module:
            code = source.compiled(outline, f"{module.__file__}", handler_type)
            exec(code, vars(module))  # noqa: S102 - this is what an executor is for
            defined: Any = vars(module)[HANDLER]
        run = _giving(defined, outline, handler_type)
        if is_of_mr and _takes_a_list(outline, handler_type):
            run = mr_form.listed(run, handler_type)
        elif handler_type == "mapper":
            run = _mapper(run, outline.definition, checked, () if is_of_mr else spec)
        else:
            run = _over_keys(run) if checked.per_key else _over_results(run)
        per_key = checked.per_key or handler.get("per_key", False)
        return Loaded(name, per_key, run, in_any_order=checked.per_key, is_self_contained=is_alone)


def _takes_a_list(outline: Outline, handler_type: str) -> bool:
    """Tell whether a handler of mr is given its input as a list, which is in memory as a whole."""
    if outline.definition is not None:
        return False
    return handler_type == "mapper" or not python_mr.is_only_iterated(outline.module, "results")


def _checked(outline: Outline, handler_type: str) -> Checked:
    if outline.definition is not None:
        return source.check_signature(outline.definition, handler_type)
    if not outline.yields and not outline.returned:
        source.check_gives(outline)
    return Checked()


def _giving(run: _Run, outline: Outline, handler_type: str) -> _Run:
    """Return a handler that gives all that its function yields or returns, or fails."""
    if inspect.isgeneratorfunction(run) and not outline.loses:
        return run  # nothing is between author code and what takes its pairs
    one_pair = None if handler_type == "mapper" else _PAIR
    return lambda *given, **named: _returned(run(*given, **named), one_pair)


def _returned(result: object, one_pair: int | None) -> Iterable[object] | None:
    """Return what a function gave; refuse what would be taken for pairs and is none."""
    if type(result) is GeneratorType:
        return _whole(result)
    reason = ""
    if isinstance(result, Mapping):
        reason = "a handler returned a map: return its .items()"
    elif isinstance(result, str | bytes | bytearray):
        reason = f"a handler yields or returns pairs, not {shorten(result)}"
    elif isinstance(result, Map | Return):
        reason = "a handler returned a marker alone: yield it, then pairs"
    elif type(result) is tuple and len(result) == one_pair:
        reason = f"a handler returned one pair, {shorten(result)}: yield it, or return a list"
    elif isinstance(result, Coroutine | AsyncIterator):
        reason = f"a handler cannot be async: it returned {shorten(result)}"
        if isinstance(result, Coroutine):
            result.close()  # else Python warns that nobody awaited it
    if reason:
        raise Misuse("protocol", reason)
    return yielded(result)


def _whole(generator: Generator[object, None, object]) -> Iterator[object]:
    """Yield what a generator yields, and refuse what it returns, for nobody would see that."""
    lost = yield from generator
    if lost is not None:
        reason = f"a handler returned {shorten(lost)} in addition to its yields: yield it as well"
        raise Misuse("protocol", reason)


def _mapper(run: _Run, definition: Definition | None, checked: Checked, spec: args.Spec) -> _Run:
    """Return a function of ``Arguments`` that starts a mapper of any form."""
    required, optional = source.by_default(definition.args) if definition else ([], [])

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
            yield from run(key, listed) or ()

    return over_keys
