"""What happens to a request, followed at another node than the one that coordinates it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx.model import Retry
from tests.cluster.clusters import Cluster, cluster
from tests.integration.test_watching import CHILDREN, EACH, FAN, Watcher, ended, hear
from tests.support.authoring import define
from tests.support.etcd import Etcd
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def two(etcd: Etcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch, cluster(folder, etcd, patch) as found:
        found.start("a")
        found.start("b")
        eventually(lambda: "the link to a in w is up" in found.log("b"))
        yield found


def test_it_is_followed_at_another_node_that_adopts_it_meanwhile(
    two: Cluster, tmp_path: Path
) -> None:
    a, b = two.nodes["a"], two.nodes["b"]
    steps = {"each": ("each", "sum"), "fan": ("fan", "sum")}
    define(tmp_path, {"fan": FAN, "each": EACH}, steps, "live", each={"retry": Retry(attempts=5)})
    body = {"arguments": {"n": CHILDREN, "folder": str(tmp_path)}}
    headers = {"Prefer": "respond-async"}
    posted = eventually(
        lambda: (
            (answer := a.ask("POST", "/job/live/fan", body, 60.0, headers)).status == 202 and answer
        )
    )
    watchers = [Watcher(b.port, posted.request_id, "live") for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    hear(watchers, 4)
    a.kill_all()
    (tmp_path / "go").touch()
    for watcher in watchers:
        watcher.join(120)
        assert watcher.fault is None
        numbers = [number for number, _, _ in watcher.found]
        assert numbers == sorted(set(numbers))
        last = watcher.found[-1][2]["summary"]
        assert (last["request"]["state"], last["request"]["coordinator"]) == ("succeeded", "b")
        assert ended(watcher.found[-1][2]) == CHILDREN + 1
        assert watcher.came == 1
