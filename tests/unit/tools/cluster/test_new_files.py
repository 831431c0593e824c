from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jobx import config_loading
from jobx.actors.cluster import requirements
from jobx.actors.cluster.identity import secret_of
from jobx.config_sections import ClusterSettings
from jobx.errors import AlreadyExists
from jobx.tools.cluster.new_files import KEY_FILE, NewCluster, write

CONF = Path(__file__).parents[4] / "conf" / "three-hosts"
HOSTS = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
STORE = "etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379"
PLAN = NewCluster("jobx", HOSTS, STORE, "file:///mnt/blobs")


def test_the_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    write(PLAN, tmp_path / "new")
    key = tmp_path / "new" / KEY_FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(secret_of(ClusterSettings(key_file=str(key)))) == 64


@pytest.mark.parametrize("node_id", HOSTS)
def test_a_node_accepts_its_settings(tmp_path: Path, node_id: str) -> None:
    write(PLAN, tmp_path)
    key = tmp_path / KEY_FILE
    flags = {"cluster.key_file": str(key)}
    settings = config_loading.load(tmp_path / f"{node_id}.toml", {}, flags)
    requirements.check(settings)
    assert (settings.node.id, settings.bridge.nsqd) == (node_id, f"{HOSTS[node_id]}:4150")


def test_a_secret_that_is_there_is_kept(tmp_path: Path) -> None:
    write(PLAN, tmp_path)
    secret = (tmp_path / KEY_FILE).read_text()
    more = NewCluster("jobx", {"d": "10.0.0.4"}, STORE, "file:///mnt/blobs")
    assert write(more, tmp_path) == [tmp_path / "d.toml"]
    assert (tmp_path / KEY_FILE).read_text() == secret


def test_settings_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("mine")
    with pytest.raises(AlreadyExists, match=r"b\.toml"):
        write(PLAN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.toml"]


@pytest.mark.parametrize("node_id", HOSTS)
def test_conf_has_what_init_writes(node_id: str) -> None:
    assert (CONF / f"{node_id}.toml").read_text() == PLAN.settings(node_id)
