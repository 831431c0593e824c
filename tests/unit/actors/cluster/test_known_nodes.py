from __future__ import annotations

from jobx.actors.cluster.known_nodes import KnownNodes
from jobx.actors.cluster.members import Loss, Member, NodeRecord
from jobx.actors.ports import GONE_S


def member(*workflows: str, offers: str = "gpu", registration: int = 1) -> Member:
    record = NodeRecord(registration, "host:1", workflows, (offers,), slots=2)
    return Member(record, f"term {registration}")


#: Node a knows itself and b.
BOTH = KnownNodes("a").after({"a": member(), "b": member()}, 0.0)
#: Since 10 s node b is no member.
LEFT = BOTH.after({"a": member()}, 10.0)


def test_nothing_is_known_of_others_before_the_members_are() -> None:
    assert KnownNodes("a").offers("w", 0.0, GONE_S) is None


def test_a_node_alone_has_no_others() -> None:
    assert KnownNodes("a").after({"a": member()}, 0.0).offers("w", 0.0, GONE_S) == []


def test_a_node_is_none_of_the_others() -> None:
    assert BOTH.others == {"b": member().record}


def test_others_offer_what_they_show() -> None:
    assert BOTH.offers("w", 0.0, 0.0) == [{"gpu"}]


def test_others_offer_nothing_for_workflows_that_they_do_not_run() -> None:
    found = KnownNodes("a").after({"b": member("v")}, 0.0)
    assert found.offers("w", 0.0, GONE_S) == []


def test_a_node_that_left_is_no_member() -> None:
    assert not LEFT.is_member("b")


def test_a_node_that_left_shows_nothing() -> None:
    assert LEFT.record("b") == NodeRecord()


def test_a_node_that_left_still_counts_for_as_long_as_the_caller_says() -> None:
    assert LEFT.offers("w", 14.9, 5.0) == [{"gpu"}]
    assert LEFT.offers("w", 15.0, 5.0) == []


def test_a_node_that_left_is_known_for_a_while() -> None:
    assert LEFT.after({"a": member()}, 9.9 + GONE_S).ids == {"a", "b"}


def test_a_node_that_left_long_ago_is_forgotten() -> None:
    assert LEFT.after({"a": member()}, 10.0 + GONE_S).ids == {"a"}


def test_news_of_others_do_not_make_a_node_that_left_younger() -> None:
    later = LEFT.after({"a": member(), "c": member()}, 50.0)
    assert later.gone["b"].since == 10.0


def test_a_node_that_comes_back_is_gone_no_more() -> None:
    back = LEFT.after({"a": member(), "b": member(offers="disk")}, 20.0)
    assert back.offers("w", 20.0, GONE_S) == [{"disk"}]


def test_a_node_that_left_is_lost() -> None:
    assert BOTH.losses({"a": member()}) == [Loss("b", 1)]


def test_a_node_that_registered_anew_is_lost_by_its_earlier_registration() -> None:
    assert BOTH.losses({"a": member(), "b": member(registration=2)}) == [Loss("b", 1)]


def test_nobody_is_lost_when_members_are_seen_first() -> None:
    assert KnownNodes("a").losses({"a": member()}) == []
