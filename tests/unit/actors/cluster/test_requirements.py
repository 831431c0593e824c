from __future__ import annotations

from typing import Any

import pytest

from jobx import config_loading
from jobx.actors.cluster.requirements import check
from jobx.config import Settings
from jobx.errors import ConfigError

WHOLE = {
    "node.id": "a",
    "cluster.key": "k" * 32,
    "store.url": "etcd://localhost",
    "blobs.url": "file:///shared",
    "bridge.nsqd": "localhost:4150",
}


def checked(**changes: Any) -> None:
    flags = {**WHOLE, **{name.replace("__", "."): value for name, value in changes.items()}}
    check(config_loading.load(None, {}, flags))


def test_a_node_with_all_that_it_needs_is_accepted() -> None:
    checked()


def test_a_node_alone_needs_nothing_and_has_no_id_of_its_own() -> None:
    check(Settings())
    with pytest.raises(ConfigError, match=r"bridge\.nsqd"):
        checked(bridge__nsqd="")


@pytest.mark.parametrize("name", ["node.id", "cluster.key", "store.url", "blobs.url"])
def test_what_a_node_with_a_bridge_lacks_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        checked(**{name.replace(".", "__"): "local" if name == "node.id" else ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cluster.key", "too short"),
        ("node.id", "Not/A/Name"),
        ("node.id", ""),
        ("cluster.name", ""),
        ("bridge.deaf_s", "0.5"),
        ("bridge.password", "sent in clear"),
    ],
)
def test_a_wrong_name_or_key_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        checked(**{name.replace(".", "__"): value})
