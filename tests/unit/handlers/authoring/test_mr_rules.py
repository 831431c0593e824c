"""The differences, as the page on migration has them and as they are looked for."""

from __future__ import annotations

import re
from pathlib import Path

from jobx.handlers.authoring.mr_rules import RULES
from tests.unit.handlers.authoring.test_mr_check import FILES
from tests.unit.handlers.authoring.test_mr_reading import FOUND

MIGRATION = (Path(__file__).parents[4] / "docs" / "migration.md").read_text(encoding="utf-8")


def test_the_page_has_a_row_for_each_difference_that_is_looked_for_and_no_other() -> None:
    section = MIGRATION.partition("\n### What to change\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \| (.*) \|$", section, re.MULTILINE)[1:]
    assert rows == [(rule.what, rule.write) for rule in RULES.values()]


def test_each_difference_is_found_in_an_example() -> None:
    assert {*FOUND, *FILES} == RULES.keys()
