from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nsq.protocol import valid_topic_name

from jobx.actors.bridge.transport import topic_of

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,62}", fullmatch=True)
TRIPLES = st.tuples(NAMES, NAMES, NAMES)
#: Names that differ only in where one ends and the next begins.
CLOSE = st.tuples(*[st.text("a.", min_size=1, max_size=3).map(lambda s: "a" + s)] * 3)


def test_a_topic_is_named_after_workflow_and_node() -> None:
    assert topic_of("jobx", "logs", "n1") == "jobx.logs.n1#ephemeral"


@given(names=TRIPLES)
def test_nsq_takes_every_topic(names: tuple[str, str, str]) -> None:
    assert valid_topic_name(topic_of(*names))


@given(one=TRIPLES | CLOSE, other=TRIPLES | CLOSE)
def test_different_names_have_different_topics(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assume(one != other)
    assert topic_of(*one) != topic_of(*other)


def test_a_dot_in_a_name_does_not_move_its_end() -> None:
    assert topic_of("jobx", "a", "b.c") != topic_of("jobx", "a.b", "c")


def test_a_long_name_keeps_its_beginning() -> None:
    assert topic_of("jobx", "w" * 63, "n" * 63).startswith("jobx.www")


@pytest.mark.parametrize(
    ("workflow", "topic"),
    [
        ("logs", "jobx.logs.n1"),
        ("w" * 56, f"jobx.{'w' * 56}.n1"),
        ("w" * 57, f"jobx.{'w' * 26}Haa8e5e978082b6cd27a11c91a4f5d1cd"),
    ],
)
def test_topics_for_earlier_versions_are_named_as_by_those(workflow: str, topic: str) -> None:
    assert topic_of("jobx", workflow, "n1", "") == topic
