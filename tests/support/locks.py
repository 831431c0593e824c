"""What the locks pin, and what JobX needs according to the packages that are installed."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jobx.system.extras import DISTRIBUTION

ROOT: Final = Path(__file__).parents[2]
#: The extras that an operator may install.
EXTRAS: Final = ("etcd", "s3", "sftp", "wasm")
#: Of the oldest Python that JobX runs on, which needs the most packages.
_PYTHON: Final = {"python_version": "3.11", "python_full_version": "3.11.0"}
_PIN: Final = re.compile(r"^([\w.-]+)==([^ ;\\\n]+)", re.MULTILINE)


def pinned(lock: str) -> dict[str, str]:
    """Return the version of each package that a lock pins, by its canonical name."""
    found = _PIN.findall((ROOT / lock).read_text(encoding="utf-8"))
    return {canonicalize_name(name): version for name, version in found}


def needed(*extras: str) -> set[str]:
    """Return the canonical names of all packages that JobX needs with these extras."""
    following = [(canonicalize_name(DISTRIBUTION), frozenset(extras))]
    seen = set(following)
    while following:
        name, wanted = following.pop()
        for text in requires(name) or ():
            requirement = Requirement(text)
            one = canonicalize_name(requirement.name), frozenset(requirement.extras)
            if one not in seen and _applies(requirement, wanted):
                seen.add(one)
                following.append(one)
    return {name for name, _ in seen} - {DISTRIBUTION}


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({**_PYTHON, "extra": extra}) for extra in ("", *extras)
    )
