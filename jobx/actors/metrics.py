"""What a node counts for ``/metrics``; on the loop's thread only.

Whoever does something counts it here. Gauges are not kept: ``gateway/metric_verbs.py`` reads them
when somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

from jobx.counting import LONG_S, MOST_LABEL_SETS, SHORT_S, Count, Counts, Histogram
from jobx.questions import HttpCount

#: Web workers whose last report is remembered.
MAX_WORKERS: Final = 1_000
_US: Final = 1e-6
#: Where the durations of a kind are, in units of the count.
_KINDS: Final = {"map": 0, "combine": 1, "reduce": 2}


def _long() -> Histogram:
    return Histogram(LONG_S)


class Metrics:
    """The counts of one life of a node.

    Attributes:
        accepted: Requests that became durable, by workflow and job.
        ended: Requests that ended, by workflow, job and outcome.
        request_s: How long they took, by workflow and job.
        unsuccessful_tries: Those that were retried or failed, by workflow, step, kind and outcome.
            With those of ``ran_s`` they are one metric.
        queued_s: How long invocations waited for an executor, by workflow and step.
        ran_s: How long those that succeeded ran, by workflow, step and kind.
        deaths: Dead executors, by cause.
        commits: Commits and their times; their faults.
        events: Events of logs, and their bytes.
        deliveries: Tries to deliver a result, by outcome.
        traces: Requests whose spans were ``sent`` to a collector, or ``dropped``.
        http_s: How long HTTP requests took, by method, route and status.
        http_sent: Bytes of bodies of their answers, by route.
    """

    def __init__(self) -> None:
        self.accepted = Counts(Count, 2)
        self.ended = Counts(Count, 2)
        self.request_s = Counts(_long, 2)
        self.unsuccessful_tries = Counts(Count, 2, MOST_LABEL_SETS // 4)
        self.queued_s = Counts(_long, 2)
        self.ran_s = Counts(_long, 2, MOST_LABEL_SETS * 3 // 4)
        self.deaths = Counts(Count)
        self.deliveries = Counts(Count)
        self.traces = Counts(Count)
        self.http_s = Counts(_long)
        self.http_sent = Counts(Count)
        self._reports: dict[str, int] = {}
        self.commits = Histogram(SHORT_S)
        self.commit_faults = 0
        self.events = 0
        self.event_bytes = 0

    def request_ended(self, workflow: str, job: str, outcome: str, took_s: float) -> None:
        """Count a request that ended."""
        self.ended[workflow, job, outcome].value += 1
        self.request_s[workflow, job].observe(took_s)

    def committed(self, took_s: float, is_fault: bool) -> None:
        """Count a commit, and whether the store failed."""
        self.commits.observe(took_s)
        self.commit_faults += is_fault

    def add_http(self, worker: str, number: int, counted: Iterable[HttpCount]) -> None:
        """Add a report of a web worker, once.

        Args:
            worker: The web worker.
            number: Of the report, ascending.
            counted: What it counted since the last one.
        """
        last = self._reports.pop(worker, 0)
        self._reports[worker] = max(last, number)  # the one that reported last is the last
        if len(self._reports) > MAX_WORKERS:
            del self._reports[next(iter(self._reports))]
        if number <= last:
            return
        for one in counted:
            self.http_s[one.labels].merge(one.counts, one.total_s)
            self.http_sent[one.labels[1],].add(one.sent_bytes)

    def waited(self, workflow: str, step: str, count: int, waited_s: float, ran_s: float) -> None:
        """Count how long invocations waited that began one after the other.

        Args:
            workflow: Their workflow.
            step: Their step.
            count: How many.
            waited_s: How long the first waited.
            ran_s: How long all of them ran.
        """
        cell = self.queued_s[workflow, step]
        if count == 1:
            cell.observe(waited_s)
        else:
            cell.observe_spread(waited_s, waited_s + ran_s, count)

    def returned(
        self, workflow: str, step: str, kinds: Sequence[str], count: int, spent_us: array[int]
    ) -> None:
        """Count invocations that succeeded together.

        Args:
            workflow: Their workflow.
            step: Their step.
            kinds: The kinds that ran: ``map``, ``combine``, ``reduce``.
            count: How many of each kind.
            spent_us: What all mappers took, then all combiners, then all reducers.
        """
        if len(spent_us) != len(_KINDS) * count:
            return
        for kind in kinds:
            cell, first = self.ran_s[workflow, step, kind], _KINDS[kind] * count
            if count == 1:
                cell.observe(spent_us[first] * _US)
            else:
                cell.observe_all(spent_us[first : first + count], _US)

    def succeeded(self, workflow: str, step: str, kind: str, spent_us: int) -> None:
        """Count one invocation that succeeded."""
        self.ran_s[workflow, step, kind].observe(spent_us * _US)

    def unsuccessful(self, workflow: str, step: str, kind: str, *, is_retried: bool) -> None:
        """Count a try that failed, for good or not."""
        outcome = "retried" if is_retried else "failed"
        self.unsuccessful_tries[workflow, step, kind, outcome].add()
