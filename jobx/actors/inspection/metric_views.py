"""The metrics of a node, as ``/metrics`` shows them: their names, and what each says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from jobx.actors.bridge.ends import LinkState
from jobx.actors.metrics import Metrics
from jobx.counting import LONG_S, SHORT_S, Count, Counts, Histogram
from jobx.views import ActorSummary, ExecutorView, MetricFamily, MetricSample, NodeView

_JOB = ("workflow", "job")
_STEP = ("workflow", "step")
_HTTP = ("method", "route", "status")
_LINK = ("peer", "workflow")
_CLASS = ("class",)


def counted(metrics: Metrics) -> Iterator[MetricFamily]:
    """Yield what a node has counted since it started."""
    yield _counts("jobx_requests_accepted", "Requests that became durable.", _JOB, metrics.accepted)
    yield _counts(
        "jobx_requests", "Requests that ended, by outcome.", (*_JOB, "outcome"), metrics.ended
    )
    yield _histograms("jobx_request_seconds", "How long requests took.", _JOB, metrics.request_s)
    yield _by(
        "jobx_invocations", "Tries of invocations that ended: succeeded, retried or failed.",
        (*_STEP, "kind", "outcome"), _tries(metrics), "counter",
    )  # fmt: skip
    yield _histograms(
        "jobx_invocation_queue_seconds", "How long mappers waited for an executor, first tries.",
        _STEP, metrics.queued_s,
    )  # fmt: skip
    yield _histograms(
        "jobx_invocation_run_seconds", "How long invocations ran that succeeded.",
        (*_STEP, "kind"), metrics.ran_s,
    )  # fmt: skip
    yield _counts(
        "jobx_executor_deaths", "Executors that ended, by cause.", ("cause",), metrics.deaths
    )
    yield from _log(metrics)
    yield _counts(
        "jobx_deliveries", "Tries to deliver a result: delivered, again or given_up.",
        ("outcome",), metrics.deliveries,
    )  # fmt: skip
    yield _counts(
        "jobx_traces", "Requests whose spans were sent to a collector, or dropped.",
        ("outcome",), metrics.traces,
    )  # fmt: skip
    yield from _http(metrics)


def _tries(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return how tries of invocations ended: those that have a time succeeded."""
    unsuccessful = {at: float(cell.value) for at, cell in metrics.unsuccessful_tries.items()}
    succeeded = {(*at, "succeeded"): float(cell.count) for at, cell in metrics.ran_s.items()}
    return succeeded | unsuccessful


def _log(metrics: Metrics) -> Iterator[MetricFamily]:
    yield _histograms(
        "jobx_commit_seconds", "How long commits took.", (), {(): metrics.commits}, SHORT_S
    )
    yield _one("jobx_commit_faults", "counter", "Commits that the store failed.",
               metrics.commit_faults)  # fmt: skip
    yield _one("jobx_log_events", "counter", "Events of requests.", metrics.events)
    yield _one("jobx_log_bytes", "counter", "Bytes of events of requests.", metrics.event_bytes)


def _http(metrics: Metrics) -> Iterator[MetricFamily]:
    requests = {labels: cell.count for labels, cell in metrics.http_s.items()}
    yield MetricFamily(
        name="jobx_http_requests", kind="counter", says="HTTP requests that were answered.",
        labels=_HTTP, samples=[MetricSample(*one) for one in requests.items()],
    )  # fmt: skip
    yield _histograms(
        "jobx_http_request_seconds", "How long HTTP requests took.", _HTTP, metrics.http_s
    )
    yield _counts(
        "jobx_http_sent_bytes", "Bytes of bodies of answers.", ("route",), metrics.http_sent
    )


def of_node(node: NodeView, held_bytes: int, open_deliveries: int) -> Iterator[MetricFamily]:
    """Yield how a node is now.

    Args:
        node: The node.
        held_bytes: What open requests hold in its memory.
        open_deliveries: Results that are to be delivered.
    """
    yield _by("jobx_node_info", "The node.", ("node", "version"), {(node.node_id, node.version): 1})
    yield _by("jobx_node_state", "1 for the state of the node.", ("state",), {(node.state,): 1})
    yield _one("jobx_node_uptime_seconds", "gauge", "Since when it runs.", node.uptime_s)
    yield _one("jobx_node_resident_bytes", "gauge", "Memory of the node.", node.rss_bytes)
    yield _one("jobx_open_requests", "gauge", "Requests that are open.", node.open_requests)
    yield _one("jobx_open_request_bytes", "gauge", "What open requests hold in memory.", held_bytes)
    yield _one("jobx_queued_batches", "gauge", "Batches that wait for an executor.",
               node.queued_batches)  # fmt: skip
    yield _one("jobx_open_deliveries", "gauge", "Results that are to be delivered.",
               open_deliveries)  # fmt: skip
    yield from _executors(node.executors)


def _executors(executors: Sequence[ExecutorView]) -> Iterator[MetricFamily]:
    states = Counter({"ready": 0, "busy": 0})
    states.update(executor.state for executor in executors)
    yield _by("jobx_executors", "Executors by state.", ("state",), _alone(states))
    held_bytes = sum(executor.rss_bytes for executor in executors)
    yield _one("jobx_executor_resident_bytes", "gauge", "Memory of all executors.", held_bytes)


def of_trouble(troubles: Sequence[str], *, is_stalled: bool) -> Iterator[MetricFamily]:
    """Yield whether a node takes requests."""
    yield _one("jobx_node_ready", "gauge", "1: the node takes requests.", not troubles)
    yield _one("jobx_store_stalled", "gauge", "1: the log cannot be written.", is_stalled)


def of_actors(actors: ActorSummary) -> Iterator[MetricFamily]:
    """Yield what actors did and are at, by class."""

    def read(field: str) -> dict[tuple[str, ...], float]:
        return {(one.class_name,): getattr(one, field) or 0.0 for one in actors.classes}

    yield _by("jobx_actors", "Live actors.", _CLASS, read("live"))
    yield _by("jobx_mailbox_messages", "Messages that wait.", _CLASS, read("mailbox"))
    yield _by("jobx_mailbox_oldest_seconds", "How long the oldest message has waited.", _CLASS,
              read("oldest_s"))  # fmt: skip
    yield _by("jobx_messages", "Messages that were handled.", _CLASS, read("handled"), "counter")
    yield _by("jobx_handler_seconds", "Time in handlers of messages.", _CLASS, read("time_s"),
              "counter")  # fmt: skip
    yield _by("jobx_slow_messages", "Messages that took over 10 ms.", _CLASS, read("slow"),
              "counter")  # fmt: skip
    yield _by("jobx_actor_failures", "Actors that died of an error.", _CLASS, read("failed"),
              "counter")  # fmt: skip
    yield _one("jobx_dead_letters", "counter", "Messages that nobody got.", actors.dead_letters)
    yield _one("jobx_stalls", "counter", "How often the loop stood still for over 100 ms.",
               actors.stalls)  # fmt: skip


def of_links(links: Iterable[LinkState], dropped: Mapping[str, int]) -> Iterator[MetricFamily]:
    """Yield the state of the links to other nodes; a node alone has none."""
    states = _grouped(links)

    def read(
        value: Callable[[LinkState], float],
        together: Callable[[Iterator[float]], float] = sum,
    ) -> dict[tuple[str, ...], float]:
        return {labels: together(map(value, group)) for labels, group in states.items()}

    yield _by("jobx_link_up", "1: the peer answers.", _LINK, read(lambda link: link.is_up, min))
    yield _by("jobx_link_unacknowledged_bytes", "What is kept until a peer acknowledges it.",
              _LINK, read(lambda link: link.backlog_bytes))  # fmt: skip
    yield _by("jobx_link_resent", "Packets that were sent again.", _LINK,
              read(lambda link: link.resent), "counter")  # fmt: skip
    yield _by("jobx_link_breaks", "How often a link broke.", _LINK,
              read(lambda link: link.breaks), "counter")  # fmt: skip
    yield _by("jobx_datagrams_dropped", "Datagrams that were dropped.", ("reason",),
              _alone(dropped), "counter")  # fmt: skip


def _grouped(links: Iterable[LinkState]) -> dict[tuple[str, ...], list[LinkState]]:
    """Return links by peer and workflow; those that have no room are together."""
    groups: Counts[list[LinkState]] = Counts(list)
    for link in links:
        groups[link.lane].append(link)
    return groups


def _alone(values: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    """Return values by the one label that they have."""
    return {(label,): value for label, value in values.items()}


def _one(name: str, kind: str, says: str, value: float) -> MetricFamily:
    return _by(name, says, (), {(): value}, kind)


def _by(
    name: str,
    says: str,
    labels: tuple[str, ...],
    values: Mapping[tuple[str, ...], float],
    kind: str = "gauge",
) -> MetricFamily:
    samples = [MetricSample(found, float(value)) for found, value in values.items()]
    return MetricFamily(name=name, kind=kind, says=says, labels=labels, samples=samples)


def _counts(name: str, says: str, labels: tuple[str, ...], counts: Counts[Count]) -> MetricFamily:
    return _by(name, says, labels, {at: cell.value for at, cell in counts.items()}, "counter")


def _histograms(
    name: str,
    says: str,
    labels: tuple[str, ...],
    cells: Mapping[tuple[str, ...], Histogram],
    bounds: Sequence[float] = LONG_S,
) -> MetricFamily:
    samples = [MetricSample(at, cell.total, cell.cumulative()) for at, cell in cells.items()]
    return MetricFamily(
        name=name, kind="histogram", says=says, labels=labels, bounds=list(bounds), samples=samples
    )
