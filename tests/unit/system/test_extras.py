"""The name that JobX is installed by; another project has the name of its package."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Final

import pytest

from jobx.system.extras import DISTRIBUTION, install

ROOT: Final = Path(__file__).parents[3]
LOCKS: Final = {"requirements.lock", "requirements-extras.lock", "requirements-dev.lock"}
TEXTS: Final = [
    path
    for folder in ("jobx", "docs", "conf", "examples", "tests", ".ci")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
]
TEXTS += [path for path in ROOT.iterdir() if path.is_file() and path.name not in LOCKS]
#: The package's name where pip, or what does its work, expects a distribution.
FOREIGN: Final = re.compile(
    r"\b(?:(?:pip[\d.]*|pipx|uv tool|uv pip)\s+(?:install|download|wheel)|uv add)\b"
    r"""[^;&|`\n]*?[\s'"]jobx(?![\w/-]|\.\w)"""
)


def foreign(text: str) -> list[str]:
    """Return what installs the other project of the package's name."""
    return FOREIGN.findall(text.replace("\\\n", " "))


def test_no_text_installs_the_other_project_of_that_name() -> None:
    found = {
        str(path.relative_to(ROOT)): foreign(path.read_text(encoding="utf-8", errors="replace"))
        for path in TEXTS
        if path.name != "test_extras.py"
    }
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        ("pip install jobx", True),
        ("pip install 'jobx[etcd]'", True),
        ("/opt/jobx/bin/pip install --upgrade jobx==1.0", True),
        ("pip install \\\n    jobx", True),
        ("pipx install jobx", True),
        ("uv pip install requests jobx", True),
        ("pip3 install jobx, then", True),
        ("Use pip install jobx.", True),
        ("pip install .", False),
        ("pip install 'jobx-runtime[etcd]'", False),
        ("pip install dist/jobx_runtime-1.0.0-py3-none-any.whl", False),
        ("/opt/jobx/bin/pip install '.[etcd]' && jobx serve", False),
        ("pip install ./jobx", False),
    ],
)
def test_an_installation_by_the_name_of_the_package_is_found(text: str, is_foreign: bool) -> None:
    assert bool(foreign(text)) is is_foreign


def test_the_distribution_has_the_name_that_errors_say() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["metadata"]["name"] == DISTRIBUTION


def test_an_extra_is_installed_by_the_name_of_the_distribution() -> None:
    assert install("etcd") == "pip install 'jobx-runtime[etcd]'"
