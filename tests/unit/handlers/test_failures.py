"""Failures are of bounded size, whatever authors do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jobx.handlers.failures import describe
from jobx.handlers.languages.answer import ProgramAnswer
from jobx.handlers.scope.invocation import Invocation
from jobx.handlers.scope.names import Scope
from tests.support.frames import REQUEST

LONG = "f" * 1_000_000
WIDE = "\U0001d4d0" * 1_000_000


def raised(file: str, function: str, depth: int) -> BaseException:
    """Return what a function of that name raises when it has called itself."""
    source = f"def {function}(n):\n    {function}(n - 1) if n else 1 / 0"
    names: dict[str, Any] = {}
    exec(compile(source, file, "exec"), names)  # noqa: S102 - as authors do
    with pytest.raises(ZeroDivisionError) as caught:
        names[source[4 : source.index("(")]](depth)
    return caught.value


def told(trace: object) -> BaseException:
    """Return the failure that a program tells with a trace."""
    scope = Scope()
    scope.current = Invocation(REQUEST, "step", 1, 1, output_bytes=1)
    line = json.dumps({"error": {"message": "m", "trace": trace}})
    with pytest.raises(Exception, match="m") as caught:
        list(ProgramAnswer(scope).yielded([line.encode()]))
    return caught.value


@pytest.mark.parametrize(
    "fail",
    [
        lambda: raised("<handler h>", LONG, 0),
        lambda: raised("<handler h>", LONG, 100),
        lambda: raised(f"<handler {LONG}", "f", 100),
        lambda: told([[1, LONG]] * 2),
        lambda: told([[1, WIDE]] * 2),
        lambda: told([[1, WIDE[:1000]]] * 1000),
        lambda: told([[1, [LONG]]]),
        lambda: told([[1, "f"]] * 100_000),
    ],
    ids=["name", "names", "file", "told", "wide", "many wide", "list", "many"],
)
def test_a_traceback_is_at_most_32_kib(fail: Callable[[], BaseException]) -> None:
    traceback = describe(fail())["traceback"]
    assert traceback.startswith('  File "<handler ')
    assert len(traceback.encode()) <= 32 << 10


def test_a_secret_is_hidden_before_a_name_is_cut() -> None:
    error = raised("<handler h>", "f" * 195 + "secret", 0)
    assert "secr" not in describe(error, lambda text: text.replace("secret", "…"))["traceback"]


def _raise(*_: object) -> None:
    raise RuntimeError("odd")


@pytest.mark.parametrize(
    "names",
    [{"__notes__": property(_raise)}, {"__cause__": 5}, {"__class__": property(_raise)}],
    ids=lambda names: next(iter(names)),
)
def test_an_exception_whose_attributes_fail_has_its_name(names: dict[str, Any]) -> None:
    error = type("Odd", (Exception,), names)("said")
    failure = describe(error)
    assert (failure["kind"], failure["type"]) == ("author", "Odd")
    assert "cannot be shown" in failure["message"]
