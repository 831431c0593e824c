"""The handlers that docs/languages.md shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobx.handlers.authoring import source
from tests.support.languages import by_name

PAGE = Path(__file__).parents[3] / "docs" / "languages.md"
LANGUAGES = {"js": "javascript", "wat": "wasm", "sh": "shell"}
SHOWN = [
    (LANGUAGES[form], text)
    for form, text in re.findall(r"^```(js|sh|wat)\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    if "handler_type" in text
]


@pytest.mark.parametrize(("language", "text"), SHOWN)
def test_a_handler_of_the_page_may_be_stored(language: str, text: str) -> None:
    language = "executable" if "python3" in text else language
    if language in ("javascript", "wasm"):
        by_name(language).need()
    source.check(source.parse("w", "h", language, text))


def test_the_page_shows_a_handler_in_each_language_but_python() -> None:
    assert len(SHOWN) == 4
