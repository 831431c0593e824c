"""Which store the settings name, and what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobx.config import Settings
from jobx.config_sections import StoreSettings
from jobx.errors import ConfigError
from jobx.kv.opening import open_store, servers_of, survey


@pytest.mark.parametrize(
    ("url", "servers", "root"),
    [
        ("etcd://h", ["h:2379"], ""),
        ("etcd://h1:1,h2,h3:3", ["h1:1", "h2:2379", "h3:3"], ""),
        ("etcds://[::1]:2379/", ["[::1]:2379"], ""),
        ("etcd://h/team-a/jobx/", ["h:2379"], "team-a/jobx/"),
        ("etcd2://h1:1,h2/a", ["h1:1", "h2:2379"], "a/"),
        ("etcds2://h", ["h:2379"], ""),
    ],
)
def test_url_names_servers_and_what_keys_begin_with(
    url: str, servers: list[str], root: str
) -> None:
    assert servers_of(url) == (servers, root)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://h", "must be etcd://"),
        ("etcd3://h", "must be etcd://"),
        ("etcd2s://h", "etcds2:// speak the v2 API"),
        ("h:2379", "must be etcd://"),
        ("etcd://", "must be etcd://"),
        ("etcd://h:99999", "'h:99999' is no HOST:PORT"),
        ("etcd://h:x", "'h:x' is no HOST:PORT"),
        ("etcd://h1,,h2", "'' is no HOST:PORT"),
        ("etcd://root:secret@h", "store.username"),
        ("etcd://h?x=1", "must be etcd://"),
    ],
)
def test_wrong_url_is_refused_by_the_name_of_its_setting(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=r"setting store\.url: ") as caught:
        open_store(Settings(store=StoreSettings(url=url)))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"url": "etcd://h", "ca_file": "ca.pem"}, "store.ca_file"),
        ({"url": "etcd2://h", "ca_file": "ca.pem"}, "store.ca_file"),
        ({"url": "etcds://h", "ca_file": "/nowhere/ca.pem"}, "store.ca_file"),
        ({"url": "etcds2://h", "ca_file": "/nowhere/ca.pem"}, "store.ca_file"),
        (
            {"url": "etcds://h", "key_file": __file__, "cert_file": "/nowhere/cert.pem"},
            "store.cert_file",
        ),
        ({"url": "etcds://h", "cert_file": __file__}, "store.key_file"),
    ],
    ids=str,
)
def test_certificate_that_cannot_be_used_is_refused_by_name(
    fields: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigError, match=f"setting {name}: "):
        open_store(Settings(store=StoreSettings(**fields)))


def test_without_a_url_the_store_is_in_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(node=Settings().node.__class__(data_dir=str(tmp_path)))
    open_store(settings).close()
    assert (tmp_path / "jobx.sqlite").exists()


def test_a_node_without_etcd_loads_nothing_of_it() -> None:
    code = "import sys, jobx.actors.node; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"ca_file": "/nowhere/ca.pem"}, "store.ca_file"),
        ({"ca_file": __file__}, "store.ca_file"),
        ({"cert_file": __file__, "key_file": __file__}, "store.cert_file"),
    ],
    ids=str,
)
def test_a_survey_refuses_what_is_no_certificate_by_name(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=f"setting {name}: "):
        survey(Settings(store=StoreSettings(url="etcds://127.0.0.1:1", **fields)))


@pytest.mark.parametrize("use", [open_store, survey])
def test_without_the_extra_it_is_named(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[Settings], object]
) -> None:
    for name in ("store", "survey"):
        monkeypatch.delattr(f"jobx.kv.etcd.{name}", raising=False)
        monkeypatch.setitem(sys.modules, f"jobx.kv.etcd.{name}", None)
    with pytest.raises(ConfigError, match=r"needs the extra etcd: .*'jobx-runtime\[etcd\]'"):
        use(Settings(store=StoreSettings(url="etcd://h")))
