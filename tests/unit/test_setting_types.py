from __future__ import annotations

import typing

import pytest

from jobx.config import Settings
from jobx.setting_types import described

SECTIONS = typing.get_type_hints(Settings)
FIELDS = {
    f"{section}.{name}": hint
    for section, kind in SECTIONS.items()
    for name, hint in typing.get_type_hints(kind, include_extras=True).items()
}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("http.workers", "a whole number of at least 1 and at most 64"),
        ("node.drain_s", "a number over 0 and at most 31536000"),
        ("node.log_level", "one of debug, info, warning, error"),
        ("node.front_end", "true or false"),
        ("node.data_dir", "a text"),
        ("http.hosts", "a list; each is a name or an address, without a port"),
        ("scope.secrets", "a table; each value is env:VARIABLE or file:/path"),
    ],
)
def test_what_is_allowed_is_said_in_words(setting: str, words: str) -> None:
    assert described(FIELDS[setting]) == words


def test_no_setting_is_described_by_a_pattern() -> None:
    assert [name for name in FIELDS if set("^$\\*") & set(described(FIELDS[name]))] == []
