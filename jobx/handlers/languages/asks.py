"""Calls of scope names by programs that run a handler; made in the executor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobx import values
from jobx.handlers.failures import HandlerTimeout, describe
from jobx.handlers.pairs.checking import snapshot
from jobx.handlers.scope.names import Scope
from jobx.values import Value


def answer(scope: Scope, name: str, arguments: list[Any]) -> dict[str, Value]:
    """Call a name for a program; return ``answer``, or ``raise`` and the exception of the call.

    Args:
        scope: The names of the handler.
        name: One of the names, or an attribute of one: ``FS.ls``.
        arguments: Values as JSON has them.
    """
    try:
        called = _named(scope, name)(*map(values.from_jsonable, arguments))
        return {"answer": _plain(called)}
    except HandlerTimeout:
        raise
    except BaseException as error:  # noqa: BLE001 - the handler that called decides what it is
        told = describe(error)
        return {"raise": {"type": told["type"], "message": told["message"]}}


def _named(scope: Scope, name: str) -> Any:
    head, *rest = name.split(".")
    names = scope.names(scope.at_work().handler)
    if head not in names or any(part.startswith("_") for part in (head, *rest)):
        raise NameError(f"name {name!r} is not defined")
    thing: Any = names[head]
    if head == "FS" and rest in (["read"], ["write"]):
        thing = _Whole(thing)
    for part in rest:
        thing = getattr(thing, part)
    return thing


@dataclass(frozen=True, slots=True)
class _Whole:
    """FS.read and FS.write: the content of a file can be sent, the file itself cannot."""

    fs: Any

    def read(self, path: str) -> bytes:
        with self.fs.open(path, "rb") as file:
            return bytes(file.read())

    def write(self, path: str, content: str | bytes) -> None:
        with self.fs.open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)


def _plain(result: object) -> Value:
    """Return the result of a call as a value: iterators as lists, records as maps."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {f.name: _plain(getattr(result, f.name)) for f in dataclasses.fields(result)}
    if isinstance(result, list | tuple | Iterator):
        return [_plain(item) for item in result]
    return snapshot(result)
