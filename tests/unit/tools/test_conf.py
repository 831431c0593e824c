from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from jobx import config_loading
from jobx.config import Settings

CONF = Path(__file__).parents[3] / "conf" / "jobx.toml"


def _uncommented() -> str:
    return re.sub(r"^# (\w+ = )", r"\1", CONF.read_text(), flags=re.MULTILINE)


def test_annotated_file_holds_every_setting_with_its_default() -> None:
    defaults = msgspec.to_builtins(Settings())

    assert msgspec.to_builtins(tomllib.loads(_uncommented())) == defaults | {
        section: {name: _plain(value) for name, value in fields.items()}
        for section, fields in defaults.items()
    }


def test_annotated_file_changes_nothing_as_it_is() -> None:
    assert config_loading.load(CONF, {}) == Settings()


def test_annotated_file_is_accepted_without_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "jobx.toml"
    path.write_text(_uncommented())

    assert config_loading.load(path, {}) == Settings()


def test_every_setting_is_annotated() -> None:
    blocks = CONF.read_text().split("\n\n")
    settings = [block for block in blocks if re.search(r"^# \w+ = ", block, re.MULTILINE)]

    assert [b for b in settings if not re.search(r"^# [A-Z\"…]", b, re.MULTILINE)] == []


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
