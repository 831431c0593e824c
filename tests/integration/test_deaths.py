"""Actors of a real node die once at birth and at each message; see also ``tests/simulation``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.authoring import COUNT, FAN, define
from tests.support.served import Served, served
from tests.support.waiting import eventually

PLACES = [
    *[("supervisor", kind) for kind in ("Submit", "Describe", "Ended", "Probe")],
    *[("coordinator", kind) for kind in ("birth", "Committed", "Ran")],
    *[("batch", kind) for kind in ("birth", "Ran", "Pull")],
]


def is_ready(serving: Served) -> bool:
    return serving.ask("GET", "/health/ready", None, 60.0, {}).status == 200


@pytest.mark.parametrize(("module", "kind"), PLACES)
def test_a_request_ends_when_an_actor_dies_and_ready_is_told_truly(
    module: str, kind: str, tmp_path: Path
) -> None:
    define(
        tmp_path, {"fan": FAN, "count": COUNT}, {"fan": ("fan", "sum"), "each": ("count", "sum")}
    )
    came = tmp_path / "came"
    launch = ("tests.support.dying_node", module, kind, str(came))
    with served(tmp_path, launch) as serving:
        node = serving.node()
        if kind == "Probe":
            eventually(lambda: is_ready(serving) or serving.node() != node)
        answer = serving.post("fan", {"n": 1500})
        if kind == "Describe":
            serving.get(answer.request_id)

        if answer.status == 200:
            assert answer.pairs == [["n", 1500]]
        else:  # it was never accepted, and that is said by name
            assert (kind in ("Submit", "birth"), answer.status) == (True, 500)
            assert answer.body["type"].startswith("urn:jobx:problem:")
        eventually(came.exists)
        if module == "supervisor":
            eventually(lambda: serving.node() != node)
        eventually(lambda: is_ready(serving), timeout_s=60)
        assert serving.post("fan", {"n": 10}).pairs == [["n", 10]]
        assert (serving.node() != node) == (module == "supervisor")
