from __future__ import annotations

from pathlib import Path

import pytest

from jobx.actors.cluster.identity import confirm, secret_of
from jobx.config_sections import ClusterSettings
from jobx.errors import ConfigError, EntryDamaged
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put

KEY = "k" * 32
OURS = ClusterSettings(name="ours", key=KEY)


def secret_file(folder: Path, text: str = KEY, mode: int = 0o600) -> ClusterSettings:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return ClusterSettings(name="ours", key_file=str(path))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_secret_comes_from_a_file(tmp_path: Path, mode: int) -> None:
    assert secret_of(secret_file(tmp_path, f"{KEY}\n", mode)) == KEY.encode()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o601])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=rf"cluster\.key_file: .*mode {mode:04o}"):
        secret_of(secret_file(tmp_path, mode=mode))


@pytest.mark.parametrize("text", ["", "\n", "short"])
def test_a_file_without_a_whole_secret_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"cluster\.key_file"):
        secret_of(secret_file(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    with pytest.raises(ConfigError, match=rf"cluster\.key_file: No such file .*{path}"):
        secret_of(ClusterSettings(key_file=str(path)))


def test_a_secret_in_two_places_is_refused(tmp_path: Path) -> None:
    key_file = secret_file(tmp_path).key_file
    with pytest.raises(ConfigError, match=r"cluster\.key_file: goes without cluster\.key"):
        secret_of(ClusterSettings(key=KEY, key_file=key_file))


def test_nodes_of_one_cluster_share_a_store() -> None:
    store = MemoryStore()
    confirm(store, OURS)
    confirm(store, OURS)


def test_the_store_does_not_have_the_secret() -> None:
    store = MemoryStore()
    confirm(store, OURS)
    assert all(KEY.encode() not in entry.value for entry in store.range(""))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (ClusterSettings(name="ours", key="o" * 32), r"cluster\.key: .*'ours' have another key"),
        (ClusterSettings(name="theirs", key=KEY), r"cluster\.name: .* the cluster 'ours'"),
    ],
)
def test_a_node_of_another_cluster_is_refused_by_name(other: ClusterSettings, reason: str) -> None:
    store = MemoryStore()
    confirm(store, OURS)
    with pytest.raises(ConfigError, match=reason):
        confirm(store, other)


def test_a_record_that_cannot_be_read_is_named() -> None:
    store = MemoryStore()
    store.commit([Put(keys.CLUSTER, b"rubbish")])
    with pytest.raises(EntryDamaged, match=keys.CLUSTER):
        confirm(store, OURS)
