from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobx.errors import NodeUnreachable
from jobx.views import PeerView
from tests.support import fake_node
from tests.support.fake_node import FakeNode
from tests.unit.http.pages.conftest import Visit


def test_overview_shows_what_runs_and_what_failed(visit: Visit, running: str, failed: str) -> None:
    page = visit("/ui/")
    assert {f"/ui/request/texts/{running}", f"/ui/request/texts/{failed}"} <= set(page.links)
    assert "ValueError: no such word" in page.text


def test_overview_says_that_no_node_answers(visit: Visit, node: FakeNode) -> None:
    node.error = NodeUnreachable("no node answers: nothing is there")
    assert "no node answers: nothing is there" in visit("/ui/").text


def test_overview_shows_the_trouble_of_the_node(visit: Visit, node: FakeNode) -> None:
    node.trouble, node.notice = "the disk is full", "a backup is old"
    page = visit("/ui/")
    assert "the disk is full" in page.text
    assert "a backup is old" in page.text


def test_node_shows_the_members_of_its_cluster_as_text(
    visit: Visit, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Members of the cluster" not in visit("/ui/node").text
    peer = PeerView(
        node_id="<b>", version="1", executors=2, workflows=["texts"], capabilities=[], nsqd="h:1",
        is_up=False,
    )  # fmt: skip
    monkeypatch.setattr(fake_node, "VIEW", replace(fake_node.VIEW, members=[peer]))
    page = visit("/ui/node")
    assert "<b>" in page.text
    assert "lost" in page.text
