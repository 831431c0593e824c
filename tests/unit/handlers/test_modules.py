"""Modules that handlers share: what is changed in them is put back."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any
from unittest import mock

import pytest

from jobx.handlers.modules import Modules

NAME = "jobx_test_shared"
SOURCE = "def one(): return 1\ndef two(): return 2\n"


@pytest.fixture
def shared() -> Iterator[Any]:
    module = sys.modules[NAME] = ModuleType(NAME)
    exec(SOURCE, module.__dict__)  # noqa: S102 - a module of two functions
    yield module
    del sys.modules[NAME]
    builtins.__class__ = ModuleType  # type: ignore[assignment]  # which no stub allows


def _other() -> int:
    return 3


CHANGES: dict[str, Callable[[Any], object]] = {
    "an attribute": lambda module: setattr(module, "one", _other),
    "no attribute": lambda module: delattr(module, "one"),
    "its namespace": lambda module: module.__dict__.update(one=_other),
    "its variables": lambda module: vars(module).pop("one"),
    "a patch that stays": lambda module: mock.patch.object(module, "one", _other).start(),
    "its class, then an attribute": lambda module: (
        setattr(module, "__class__", ModuleType),
        setattr(module, "one", _other),
    ),
    "another module": lambda module: sys.modules.update({NAME: ModuleType(NAME)}),
    "no module": lambda module: sys.modules.pop(NAME),
    "a builtin": lambda module: builtins.__dict__.update(len=_other),
    "a builtin by attribute": lambda module: setattr(builtins, "len", _other),
    "one more builtin": lambda module: setattr(builtins, "more", _other),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_changed_is_put_back(change: Callable[[Any], object], shared: Any) -> None:
    modules = Modules(("builtins", NAME), ())
    before = len
    change(shared)
    modules.restore(is_thorough=False)
    found = importlib.import_module(NAME)
    assert (found, found.one(), len, hasattr(builtins, "more")) == (shared, 1, before, False)


def test_a_module_that_was_made_one_that_does_not_tell_tells_again(shared: Any) -> None:
    modules = Modules(("builtins", NAME), ())
    shared.__class__ = ModuleType
    modules.restore(is_thorough=False)
    shared.one = _other
    modules.restore(is_thorough=False)
    assert shared.one() == 1


def test_what_is_changed_round_attributes_is_put_back_by_a_thorough_look(shared: Any) -> None:
    modules = Modules(("builtins", NAME), ())
    function: FunctionType = shared.two
    function.__globals__["one"] = _other
    modules.restore(is_thorough=True)
    assert shared.one() == 1


def test_nothing_is_looked_at_that_nobody_touched(shared: Any) -> None:
    names = shared.__dict__
    modules = Modules(("builtins", NAME), ())
    names["one"] = _other
    modules.restore(is_thorough=False)
    assert shared.one() == 3


def test_names_that_others_look_after_are_left(shared: Any) -> None:
    modules = Modules(("builtins", NAME), {"one"})
    shared.one = _other
    modules.restore(is_thorough=False)
    assert shared.one() == 3
