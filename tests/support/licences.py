"""The list of licences in docs/licences.md: ``python -m tests.support.licences`` writes it."""

from __future__ import annotations

from importlib.metadata import PackageMetadata, metadata
from typing import Final

from tests.support.locks import EXTRAS, ROOT, needed, pinned

PAGE: Final = ROOT / "docs" / "licences.md"
_HEAD: Final = """# Licences

JobX has the MIT licence. These are the packages that are installed with it, in the versions of
`requirements-extras.lock`, with the licences that their authors name. `make lock` writes this page.

| package | version | licence | for |
|---|---|---|---|
"""


def page() -> str:
    """Return the page for what the lock pins and what is installed here."""
    core = needed()
    by_extra = {extra: needed(extra) - core for extra in EXTRAS}
    versions = pinned("requirements-extras.lock")
    rows = []
    for name in sorted(core.union(*by_extra.values())):
        extras = [extra for extra, names in by_extra.items() if name in names]
        purpose = ", ".join(f"extra {extra}" for extra in extras) or "JobX"
        rows.append(f"| {name} | {versions[name]} | {licence(metadata(name))} | {purpose} |\n")
    return _HEAD + "".join(rows)


def licence(package: PackageMetadata) -> str:
    """Return the licence of a package: its expression, its classifiers, or its free text."""
    expression = package.get("License-Expression")
    prefix = "License :: OSI Approved :: "
    classified = [
        line.removeprefix(prefix)
        for line in package.get_all("Classifier") or ()
        if line.startswith(prefix)
    ]
    text = (package.get("License") or "").partition("\n")[0]
    return expression or ", ".join(classified) or text or "not named"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
