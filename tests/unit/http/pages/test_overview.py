from __future__ import annotations

from jobx.errors import NodeUnreachable
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
