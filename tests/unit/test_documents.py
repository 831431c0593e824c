"""What can be checked of the documents without running what they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tables import check_each

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jobx"
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/README.md")]
COLUMNS = 100
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


def headings(document: Path) -> set[str]:
    """Return the anchors that a document offers."""
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for path, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not anchor or anchor in headings(target), f"{path}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_of_a_document_is_wrapped(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > COLUMNS] == []


def test_a_page_says_first_what_it_is_about() -> None:
    def check(page: Path) -> None:
        first = page.read_text(encoding="utf-8").split("\n", 2)[2]
        assert first[0].isalpha() or first.startswith("`"), first.splitlines()[0]

    check_each((ROOT / "docs").glob("*.md"), check)


def test_readme_stays_under_120_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_every_threat_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    section = text.partition("\n## Threats\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert rows
    for row in rows:
        found = re.fullmatch(r"\| .+ \| .+ \| `(tests/\S+\.py)::(test_\w+)` \|", row)
        assert found, row
        source = (ROOT / found[1]).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {found[2]}\(", source, re.MULTILINE), row


def stations() -> list[str]:
    """Return the rows of the map: the path of a POST, and what is beside it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = text.partition("## A POST, station by station")[2].partition("\n## Event")[0]
    rows = [line for line in found.splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.startswith(("| station", "| who", "| folder"))]


def places(row: str) -> Iterator[Path]:
    """Yield the files and folders of a row; a bare name is in the folder of the name before it."""
    folder = PACKAGE
    for name in re.findall(r"`([^`]+(?:\.py|/))`", row.split("|")[2]):
        yield (path := PACKAGE / name if "/" in name else folder / name)
        folder = path.parent


def test_every_file_of_a_station_exists() -> None:
    def check(row: str) -> None:
        assert [path for path in places(row) if not path.exists()] == []

    check_each(stations(), check)


def test_every_module_is_on_the_map_alone_or_with_its_folder() -> None:
    named = {path for row in stations() for path in places(row)}
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    lost = [path for path in modules if not named & {path, path.parent}]
    assert [str(path.relative_to(PACKAGE)) for path in lost] == []
