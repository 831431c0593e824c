"""Two nodes of different versions: one runs a copy of the package whose forms have more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

import jobx
from jobx.questions import PROTOCOL
from jobx.tools.cli import main
from tests.cluster.clusters import Cluster, cluster, places
from tests.support.etcd import Etcd
from tests.support.served import Served
from tests.support.waiting import eventually

#: What a later version has, by file: another number, another protocol of its own processes, and
#: a further field in the log, in what a node shows, and in what nodes send.
CHANGES = {
    "__init__.py": ('__version__ = "1.0.0"', '__version__ = "1.1.0"'),
    "questions/base.py": (f"PROTOCOL: Final = {PROTOCOL}", f"PROTOCOL: Final = {PROTOCOL + 1}"),
    "actors/request/events.py": (
        "may_wait: bool = False",
        'may_wait: bool = False; zone: str = "z"',
    ),
    "actors/cluster/members.py": (
        "is_heir: bool = False",
        'is_heir: bool = False; zone: str = "z"',
    ),
    "actors/bridge/envelope.py": (
        "is_alive: bool | None = None",
        'is_alive: bool | None = None; zone: str = "z"',
    ),
}


#: What a version has whose datagrams others must not misread.
APART = {
    "__init__.py": CHANGES["__init__.py"],
    "actors/bridge/envelope.py": ('VERSION: Final = b"\\x01"', 'VERSION: Final = b"\\x02"'),
}


def later_version(folder: Path, changes: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Make a copy of the package with changes; return the variables that have Python use it."""
    (package,) = jobx.__path__
    shutil.copytree(package, folder / "jobx")
    for name, (old, new) in changes.items():
        path = folder / "jobx" / name
        source = path.read_text()
        assert source.count(old) == 1, name
        path.write_text(source.replace(old, new))
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def until_both_work(nodes: Cluster, on: Served) -> None:
    """Post until a request ran on both nodes."""

    def has_both() -> bool:
        answer = on.post("fan", {"n": 300, "ms": 20})
        assert answer.pairs == [["n", 300]]
        return {"a", "b"} <= set(places(on, answer))

    eventually(has_both)


def test_nodes_of_two_versions_work_together_and_adopt_only_logs_that_they_know(
    tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = later_version(tmp_path / "later", CHANGES)
    gates = tmp_path / "gate-a", tmp_path / "gate-b"
    with cluster(tmp_path, etcd, monkeypatch) as nodes:
        a, b = nodes.start("a"), nodes.start("b", **later)
        for node in (a, b):
            until_both_work(nodes, node)
        shown = json.loads(CliRunner().invoke(main, ["cluster", "status", "--json"]).stdout)
        assert "nodes have different versions: 1.0.0, 1.1.0" in shown["trouble"]

        of_a, of_b = (
            node.post("gate", {"gate": str(gate)}, Prefer="respond-async").request_id
            for node, gate in zip((a, b), gates, strict=True)
        )
        b.kill_all()
        eventually(lambda: f"{of_b} is not continued here: lost node b" in nodes.log("a"))
        b = nodes.start("b", **later)
        gates[1].touch()
        assert b.get(of_b, "/result", Prefer="wait=60").pairs == [["n", 1]]

        a.kill_all()
        gates[0].touch()
        assert b.get(of_a, "/result", Prefer="wait=60").pairs == [["n", 1]]
        assert b.get(of_a).body["coordinator"] == "b"


def test_nodes_that_do_not_know_each_others_datagrams_say_so_and_adopt_nevertheless(
    tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = later_version(tmp_path / "later", APART)
    gate = tmp_path / "gate"
    with cluster(tmp_path, etcd, monkeypatch) as nodes:
        a, b = nodes.start("a"), nodes.start("b", **later, JOBX_NODE_DRAIN_S="0.1")
        for name, node in (("a", a), ("b", b)):
            answer = node.post("fan", {"n": 20, "ms": 1})
            assert answer.pairs == [["n", 20]]
            assert set(places(node, answer)) == {name}
        for name in "ab":
            eventually(lambda: "dropped (version)" in nodes.log(name), 60.0)  # noqa: B023 - at once
        of_b = b.post("gate", {"gate": str(gate)}, Prefer="respond-async").request_id
        assert b.stop() == 0
        gate.touch()
        assert a.get(of_b, "/result", Prefer="wait=60").pairs == [["n", 1]]
        assert a.get(of_b).body["coordinator"] == "a"
