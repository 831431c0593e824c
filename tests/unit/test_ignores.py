"""Where a checker is told to look away, the rule is named, and the reason."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("jobx", "tests", "examples", "conf")

IGNORE = re.compile(r"#\s*(ruff:\s*|flake8:\s*)?noqa|#\s*(type|mypy):\s*ignore", re.IGNORECASE)
REASONED = re.compile(
    r"# (ruff: )?noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \S.*"
    r"|# type: ignore\[[a-z-]+(, [a-z-]+)*\]  # \S.*"
)


def comments(path: Path) -> Iterator[str]:
    """Yield the comments of a file."""
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def is_bare(comment: str) -> bool:
    """Tell an ignore without a rule, or without a reason."""
    return bool(IGNORE.match(comment)) and not REASONED.fullmatch(comment)


def test_no_ignore_is_without_its_rule_and_its_reason() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    bare = [
        f"{path.relative_to(ROOT)}: {comment}"
        for path in files
        for comment in filter(is_bare, comments(path))
    ]

    assert len(files) > 200
    assert bare == []


@pytest.mark.parametrize(
    ("comment", "bare"),
    [
        ("# noqa: S603 - a program of our own", False),
        ("# ruff: noqa: N802, N815 - the names are Thespian's", False),
        ("# type: ignore[arg-type]  # that is the test", False),
        ("# what noqa does", False),
        ("# noqa", True),
        ("#noqa:S603", True),
        ("# noqa: S603", True),
        ("# noqa: S603 -", True),
        ("# type: ignore", True),
        ("# type: ignore[arg-type]", True),
        ("# type: ignore  # that is the test", True),
    ],
)
def test_ignore_without_rule_or_reason_is_told(comment: str, bare: bool) -> None:
    assert is_bare(comment) is bare
