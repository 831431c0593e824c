from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobx.actors.inspection import graph
from jobx.errors import DeadlineExceeded, InternalError, UnsupportedMedia
from jobx.model import Failure, RequestState
from jobx.views import RequestView, TraceNode, TraceView

needs_dot = pytest.mark.usefixtures("dot")
SVG = "{http://www.w3.org/2000/svg}"


def node(kind: str, number: int, *children: TraceNode, **fields: Any) -> TraceNode:
    known = {"state": "succeeded", "step_name": "s", "handler_name": "h", **fields}
    name = f"{kind[0]}{number}"
    return TraceNode(invocation_id=name, kind=kind, children=[*children], **known)


def leaf(number: int, **fields: Any) -> TraceNode:
    return node("map", number, node("reduce", number), **fields)


def view(root: TraceNode | None, state: RequestState = "succeeded") -> TraceView:
    request = RequestView(
        request_id="r1",
        workflow_name="texts",
        job_name="count",
        state=state,
        is_blocking=True,
        accepted_at=0.0,
        result_pairs=2,
    )
    return TraceView(request=request, root=root)


def edges(text: str) -> list[tuple[str, str, str]]:
    return re.findall(r'^  "(.+)" -> "(.+)" \[label="(.+)"\];$', text, re.MULTILINE)


TREE = view(
    node(
        "map", 0, leaf(1), node("map", 2, node("combine", 2), node("reduce", 2)), node("reduce", 0)
    )
)


def test_edges_say_what_leads_to_what() -> None:
    assert sorted(edges(graph.dot_text(TREE, 100))) == [
        ("c2", "r2", "data reduced by"),
        ("m0", "m1", "mapped to"),
        ("m0", "m2", "mapped to"),
        ("m1", "r1", "data reduced by"),
        ("m2", "c2", "combined by"),
        ("r0", "result", "stored to"),
        ("r1", "r0", "step reduced by"),
        ("r2", "r0", "step reduced by"),
        ("request", "m0", "mapped to"),
    ]


def test_failure_is_shown_with_its_message_and_colour() -> None:
    failure = Failure(kind="author", type="ValueError", message='no\nsuch "word"')
    text = graph.dot_text(view(leaf(0, state="failed", failure=failure, attempt=2), "failed"), 100)
    (line,) = [line for line in text.splitlines() if line.startswith('  "m0" [')]
    assert 'color="#c62828"' in line
    assert r'attempt 2\nValueError: no such \"word\""' in line
    assert "result" not in text


@pytest.mark.parametrize(("other", "count"), [("b", 1), ("a", 0)])
def test_graph_shows_nodes_if_there_are_several(other: str, count: int) -> None:
    root = node("map", 0, leaf(1, node_id="a"), leaf(2, node_id=other), node_id="a")
    assert graph.dot_text(view(root), 9).count(f"\\non {other}") == count


def test_request_that_has_not_begun_is_drawn_alone() -> None:
    assert edges(graph.dot_text(view(None, "running"), 100)) == []


@pytest.mark.parametrize("limit", [2, 3, 9, 50])
def test_graph_shows_so_many_invocations_and_says_how_many_more(limit: int) -> None:
    root = node("map", 0, *map(leaf, range(1, 31)), node("reduce", 0), hidden=7)
    text = graph.dot_text(view(root), limit)
    shown = re.findall(r'^  "[mr]\d+" \[', text, re.MULTILINE)
    assert len(shown) <= limit
    assert f'label="{7 + 30 - (len(shown) - 2) // 2} more"' in text


def test_deep_tree_is_no_matter() -> None:
    root = leaf(5000)
    for number in range(4999, -1, -1):
        root = node("map", number, root, node("reduce", number))
    assert len(edges(graph.dot_text(view(root), 20_000))) > 10_000


HOSTILE = [
    '"]; x [URL="javascript:alert(1)"',
    "\\",
    '\\"',
    "a\\N\\l",
    "<b>&amp;</b>",
    "\0\x1b\ud800",
    "é",
]


@needs_dot
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_of_authors_stays_text_in_the_drawing(text: str) -> None:
    image = graph.draw(graph.dot_text(view(leaf(0, handler_name=text)), 10), "svg")
    drawn = ET.fromstring(image)  # noqa: S314 - of our own Graphviz
    shown = re.sub(r"[\0\x1b\ud800]", "\N{REPLACEMENT CHARACTER}", f"s/{text}")
    lines = {
        element.text.replace("\xa0", " ") for element in drawn.iter(f"{SVG}text") if element.text
    }
    assert shown in lines
    assert [
        e for e in drawn.iter() if "href" in str(e.attrib) or e.tag.endswith(("}a", "}script"))
    ] == []


@given(st.text())
@settings(max_examples=200)
def test_label_is_one_quoted_string_whatever_is_in_it(text: str) -> None:
    label = graph.quoted(text)
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', label)
    assert len(label) < 700
    label.encode()


@needs_dot
@pytest.mark.parametrize(
    ("form", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("dot", b"digraph")]
)
def test_graph_is_drawn_in_every_form(form: graph.GraphFormat, start: bytes) -> None:
    assert graph.draw(graph.dot_text(TREE, 100), form).startswith(start)


def test_missing_graphviz_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedMedia, match=r"needs the program dot \(Graphviz\)"):
        graph.draw("digraph {}", "svg")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program ``dot`` for tests to write."""
    path = tmp_path / "dot"
    path.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return path


def test_drawing_that_takes_too_long_is_given_up(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    monkeypatch.setattr(graph, "DRAW_S", 0.2)
    with pytest.raises(DeadlineExceeded, match="drawing the graph"):
        graph.draw("digraph {}", "svg")


@pytest.mark.parametrize(
    ("does", "named"), [("sys.exit('no room')", "no room"), ("print('x' * 100)", "drew 101 bytes")]
)
def test_graphviz_that_fails_is_a_fault(
    program: Path, monkeypatch: pytest.MonkeyPatch, does: str, named: str
) -> None:
    program.write_text(f"#!{sys.executable}\nimport sys\n{does}\n")
    monkeypatch.setattr(graph, "MAX_IMAGE_BYTES", 100)
    with pytest.raises(InternalError, match=named):
        graph.draw("digraph {}", "svg")


@needs_dot
@pytest.mark.slow
@pytest.mark.timeout(1100)
@pytest.mark.parametrize("form", ["svg", "png"])
def test_largest_graphs_are_drawn_within_the_limits(
    form: graph.GraphFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "DRAW_S", 1000.0)  # a busy machine is no fault of the limits
    limit = graph.LIMITS[form]
    root = node("map", 0, *map(leaf, range(1, limit)), node("reduce", 0))
    assert len(graph.draw(graph.dot_text(view(root), limit), form)) < graph.MAX_IMAGE_BYTES
