"""The examples in a handler's header; they run before it is stored, and refuse it if one fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from jobx import model, values
from jobx.config import Settings
from jobx.errors import InvalidInput, quote
from jobx.handlers.trial.single_run import Trial, TrialResult
from jobx.values import Key, Pair, Value

#: Time limit of an example, whatever the limit of its handler.
EXAMPLE_LIMIT_S: Final = 10.0
_MAX_CHARS: Final = 500


def check_examples(handler: model.Handler, settings: Settings, environ: Mapping[str, str]) -> None:
    """Run the examples of one handler, see ``checking``."""
    with checking(settings, environ) as check:
        check(handler)


@contextmanager
def checking(
    settings: Settings, environ: Mapping[str, str]
) -> Iterator[Callable[[model.Handler], None]]:
    """Yield a function that runs the examples of a handler, for any number of handlers.

    The function raises InvalidInput if an example does not hold, with the example and its actual
    output. It raises InternalError if no executor could run it.

    Args:
        settings: Limits of executors.
        environ: The environment; author code sees of it what the settings allow.
    """
    with Trial(settings, environ, EXAMPLE_LIMIT_S) as trial:
        yield partial(check_all, trial)


def check_all(trial: Trial, handler: model.Handler) -> None:
    """Run the examples of a handler; raises as the function of ``checking``."""
    for number, example in enumerate(handler.examples, 1):
        _check(trial, handler, example, f"example {number} of handler {handler.handler_name}")


def _check(trial: Trial, handler: model.Handler, example: model.Example, where: str) -> None:
    expected = pairs_in(f"{where}, expected", example.expected)
    result = _run_example(trial, handler, example, f"{where}, arguments")
    if (failure := result.failure) is not None:
        raise InvalidInput(where, failure.type, f"it fails: {failure.message}")
    if not _same(_in_order(result.pairs), _in_order(expected)):
        raise InvalidInput(where, _as_json(result.pairs), f"it must give {_as_json(expected)}")


def _run_example(
    trial: Trial, handler: model.Handler, example: model.Example, where: str
) -> TrialResult:
    """Run a handler on the arguments of an example.

    For a mapper these are a map (the arguments of a request) or a list of a key and a value (a
    mapped pair). For others they are a list of keys with lists of values.
    """
    given = example.arguments
    if handler.handler_type != "mapper":
        return trial.reduce(handler, groups_in(where, given))
    if isinstance(given, list):
        return trial.map(handler, pair=pairs_in(where, [given])[0])
    if isinstance(given, dict | None):
        named = {name: values.from_jsonable(value) for name, value in (given or {}).items()}
        return trial.map(handler, arguments=named)
    raise InvalidInput(where, quote(given), "must be a map, or a list of a key and a value")


def pairs_in(where: str, written: object) -> list[Pair]:
    """Return the pairs in a list of ``[key, value]``, see ``values.from_jsonable``.

    Raises:
        InvalidInput: It is no such list; the error says ``where``.
    """
    pairs: list[Pair] = []
    for item in _list(where, written):
        if len(item := _list(where, item)) != 2:
            raise InvalidInput(where, quote(item), "a pair must be a list of two")
        try:
            pairs.append(
                (values.check_key(values.from_jsonable(item[0])), values.from_jsonable(item[1]))
            )
        except ValueError as error:
            raise InvalidInput(where, quote(item[0]), str(error)) from error
    return pairs


def groups_in(where: str, written: object) -> list[tuple[Key, list[Value]]]:
    """Return the grouped pairs in a list of ``[key, [value, …]]``; raises as ``pairs_in``."""
    return [(key, _list(f"{where}, values", listed)) for key, listed in pairs_in(where, written)]


def _list(where: str, written: object) -> list[Any]:
    if isinstance(written, list):
        return written
    raise InvalidInput(where, quote(written), "must be a list")


def _in_order(pairs: Sequence[Pair]) -> list[Any]:
    """Return pairs in key order, in which everybody gets them."""
    ordered = sorted(pairs, key=lambda pair: values.sort_key(pair[0]))
    return [[values.to_jsonable(key), values.to_jsonable(value)] for key, value in ordered]


def _same(left: Any, right: Any) -> bool:
    """Tell whether plain values are equal; unlike in Python, True does not equal 1."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _as_json(pairs: Sequence[Pair]) -> str:
    text = json.dumps(values.to_jsonable(list(map(list, pairs))), ensure_ascii=False)
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 3]}..."
