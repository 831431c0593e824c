from __future__ import annotations

import msgspec

from jobx.actors.bridge.ends import LinkState
from jobx.actors.bridge.transport import Lane
from jobx.actors.inspection import metric_views
from jobx.actors.metrics import Metrics
from jobx.views import ActorClassView, ActorSummary, ExecutorView, MetricFamily, MetricSample
from tests.support.fake_node import VIEW


def by_name(families: list[MetricFamily]) -> dict[str, MetricFamily]:
    found = {family.name: family for family in families}
    assert len(found) == len(families)
    return found


def test_every_family_has_a_name_a_kind_and_a_sentence_even_before_anything_happened() -> None:
    for family in by_name(list(metric_views.counted(Metrics()))).values():
        assert family.name.startswith("jobx_")
        assert not family.name.endswith("_total")
        assert family.kind in ("counter", "histogram")
        assert family.says.endswith(".")


def test_a_histogram_ends_with_the_number_of_its_measurements() -> None:
    metrics = Metrics()
    metrics.request_ended("flow", "job", "succeeded", 0.5)
    families = by_name(list(metric_views.counted(metrics)))
    (sample,) = families["jobx_request_seconds"].samples
    assert (sample.labels, sample.value, sample.buckets[-1]) == (("flow", "job"), 0.5, 1)
    assert len(sample.buckets) == len(families["jobx_request_seconds"].bounds) + 1


def test_executors_are_counted_by_state() -> None:
    states = ("ready", "busy", "busy", "starting")
    executors = [
        ExecutorView(pid=n, state=state, invocations=0, rss_bytes=5, age_s=1.0)
        for n, state in enumerate(states)
    ]
    node = msgspec.structs.replace(VIEW, executors=executors)
    families = by_name(list(metric_views.of_node(node, 7, 3)))
    counted = {sample.labels[0]: sample.value for sample in families["jobx_executors"].samples}
    assert counted == {"ready": 1, "busy": 2, "starting": 1}
    assert families["jobx_executor_resident_bytes"].samples[0].value == 20


def test_actors_are_counted_by_class() -> None:
    classes = [
        ActorClassView(
            class_name=name, live=3, created=5, failed=1, handled=9, time_s=0.5, slow=2,
            longest_s=0.1, mailbox=mailbox, oldest_s=oldest_s,
        )
        for name, mailbox, oldest_s in (("Batch", 4, 0.2), ("Coordinator", 0, None))
    ]  # fmt: skip
    actors = ActorSummary(
        node_id="n", live=6, queued=1, created=10, failed=2, handled=18, dead_letters=7,
        held_bytes=0, limit_bytes=1, slow=4, stalls=3, traces=0, classes=classes,
        slow_handlers=[], stalled=[],
    )  # fmt: skip
    families = by_name(list(metric_views.of_actors(actors)))
    assert [sample.value for sample in families["jobx_mailbox_messages"].samples] == [4, 0]
    assert [sample.value for sample in families["jobx_mailbox_oldest_seconds"].samples] == [0.2, 0]
    assert families["jobx_messages"].samples[0] == MetricSample(("Batch",), 9.0)
    assert families["jobx_stalls"].samples[0].value == 3
    assert families["jobx_dead_letters"].samples[0].value == 7


def test_tries_of_invocations_are_one_metric_of_at_most_a_thousand_label_sets() -> None:
    metrics = Metrics()
    for number in range(2000):
        metrics.succeeded("w", f"s{number}", "map", 5)
        metrics.unsuccessful("w", f"s{number}", "map", is_retried=False)
    (family,) = (one for one in metric_views.counted(metrics) if one.name == "jobx_invocations")
    assert len(family.samples) == 1002
    by_labels = {sample.labels: sample.value for sample in family.samples}
    assert by_labels["w", "s0", "map", "succeeded"] == 1
    assert by_labels["other", "other", "map", "failed"] == 1750
    assert sum(by_labels.values()) == 4000


def link(peer: str, workflow: str = "w", *, is_up: bool = True) -> LinkState:
    return LinkState(
        Lane(peer, workflow), is_up,
        children=1, hosted=2, backlog_bytes=7, resent=3, duplicates=4, stale=5, breaks=6,
    )  # fmt: skip


def test_links_are_told_by_peer_and_workflow() -> None:
    families = by_name(
        list(metric_views.of_links([link("b"), link("c", is_up=False)], {"seal": 9}))
    )
    told = {name: [one.value for one in family.samples] for name, family in families.items()}
    assert [one.labels for one in families["jobx_link_up"].samples] == [("b", "w"), ("c", "w")]
    assert told == {
        "jobx_link_up": [1, 0],
        "jobx_link_unacknowledged_bytes": [7, 7],
        "jobx_link_resent": [3, 3],
        "jobx_link_breaks": [6, 6],
        "jobx_datagrams_dropped": [9],
    }


def test_links_beyond_a_thousand_are_told_together_and_are_up_if_all_of_them_are() -> None:
    links = [link(f"n{n}", is_up=n != 1500) for n in range(2000)]
    families = by_name(list(metric_views.of_links(links, {})))
    up, resent = (families[f"jobx_link_{name}"].samples for name in ("up", "resent"))
    assert (len(up), up[-1]) == (1001, MetricSample(("other", "other"), 0.0))
    assert resent[-1] == MetricSample(("other", "other"), 3000.0)
