"""What an operator installs is what was tested, and nothing that was exchanged on its way."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from tests.support.licences import PAGE, page
from tests.support.locks import EXTRAS, ROOT, needed, pinned

LOCKS: Final = {"requirements.lock": (), "requirements-extras.lock": EXTRAS}
TESTED: Final = pinned("requirements-dev.lock")
AGAIN: Final = "run make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_what_an_operator_installs_is_what_was_tested(lock: str) -> None:
    assert pinned(lock).items() <= TESTED.items(), AGAIN


@pytest.mark.parametrize(("lock", "extras"), LOCKS.items())
def test_a_lock_pins_all_that_is_needed(lock: str, extras: tuple[str, ...]) -> None:
    assert needed(*extras) <= set(pinned(lock)), AGAIN


@pytest.mark.parametrize("lock", LOCKS)
def test_each_pin_has_hashes(lock: str) -> None:
    pins = re.split(r"^(?=\w)", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert pins
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_page_of_licences_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), AGAIN


def test_the_compiler_is_the_one_that_was_tested() -> None:
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (compiler,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MYPY"
    ]
    assert compiler == f"mypy=={TESTED['mypy']}"
