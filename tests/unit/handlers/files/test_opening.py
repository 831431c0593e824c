from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobx.config_sections import FilesSettings
from jobx.errors import ConfigError
from jobx.handlers.files import opening

CAP = "URI:DIR2:" + "a" * 26 + ":" + "b" * 52


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": "ftp://host/x"}, "begins with one of file:, memory:, s3:, sftp:, tahoe:"),
        ({"url": "/srv/shared"}, "begins with one of"),
        ({"url": "file://host/x"}, "file:///FOLDER"),
        ({"url": "file:///no/such/folder"}, "/no/such/folder does not exist"),
        ({"url": "s3:///prefix"}, "s3://HOST"),
        ({"url": "sftp:///folder"}, "sftp://HOST"),
        ({"url": "sftp://user:hush@host/x"}, "password"),
        ({"url": "s3://bucket/x?key=hush"}, "query"),
        ({"url": "tahoe://host"}, "tahoe: alone"),
        ({"url": "tahoe:"}, "MR_FS_TAHOE_DIR_URI"),
        ({"tahoe_dir_uri": CAP}, "MR_FS_TAHOE_WEBAPI_URL_PREFIX"),
        ({"tahoe_dir_uri": CAP, "tahoe_webapi_url_prefix": "127.0.0.1:3456"}, "http URL"),
    ],
)
def test_wrong_settings_are_refused_by_name_without_secrets(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        opening.check(FilesSettings(**fields))
    assert "setting files.url" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert CAP not in str(caught.value)


def test_no_url_is_no_fault() -> None:
    opening.check(FilesSettings())


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=r"needs s3fs: pip install 'jobx-runtime\[s3\]'"):
        opening.check(FilesSettings(url="s3://bucket"))


def test_a_local_folder_may_have_an_awkward_name(tmp_path: Path) -> None:
    folder = tmp_path / "a b%"
    folder.mkdir()
    back_end = opening.connect(FilesSettings(url=folder.as_uri()))
    back_end.mkdir(("made",))
    assert (folder / "made").is_dir()


def test_neither_executors_nor_checks_load_fsspec() -> None:
    program = (
        "import sys, jobx.handlers.execution.fork_server, jobx.handlers.files.opening as opening\n"
        "from jobx.config_sections import FilesSettings\n"
        "opening.check(FilesSettings(url='memory://x'))\n"
        "assert not [name for name in sys.modules if name.startswith('fsspec')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
