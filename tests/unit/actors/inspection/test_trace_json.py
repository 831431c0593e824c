from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.inspection import trace_json
from jobx.views import RequestView, TraceNode, TraceView
from tests.unit.actors.inspection.test_graph import view

NAMES = st.text(max_size=5) | st.sampled_from(['"children":[]', "[]", "]"])


def _node(name: str, children: list[TraceNode]) -> TraceNode:
    return TraceNode(
        invocation_id=name,
        kind="map",
        state="succeeded",
        step_name="s",
        handler_name="h",
        output=name,
        session={name: []},
        children=children,
    )


TREES = st.recursive(
    st.builds(_node, NAMES, st.just([])),
    lambda below: st.builds(_node, NAMES, st.lists(below, max_size=3)),
)


@given(root=st.none() | TREES)
def test_text_is_that_of_the_view(root: TraceNode | None) -> None:
    whole = view(root)
    assert json.loads(trace_json.encode(whole)) == json.loads(msgspec.json.encode(whole))


def test_a_tree_deeper_than_the_stack_can_be_written() -> None:
    root = _node("m", [])
    for _ in range(20_000):
        root = _node("m", [root])
    assert trace_json.encode(view(root)).count(b'"children"') == 20_001


def test_a_context_that_looks_like_a_trace_is_one_of_its_own() -> None:
    request: RequestView = msgspec.structs.replace(view(None).request, context={"root": None})
    whole = TraceView(request=request, root=_node("m", []))
    assert json.loads(trace_json.encode(whole))["root"]["invocation_id"] == "m"
