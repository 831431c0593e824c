"""Whether and when a dead coordinator is restarted. Pure."""

from __future__ import annotations

from typing import Final

from jobx import model
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.accounts import Restarted
from jobx.actors.runtime.supervision import Restart, RestartBudget, RestartPolicy

#: A coordinator is rebuilt from its log this often; if it dies once more, its request fails.
COORDINATOR_POLICY: Final = RestartPolicy(mode="restart", max_restarts=3, window_s=60.0)
#: The actor that gives a request up may die this often too; then the request is left until the next
#: start of the node.
GIVEN_UP_POLICY: Final = RestartPolicy(mode="restart", max_restarts=2, window_s=60.0, backoff_s=1.0)
#: Shortest time between restarts of any coordinators, so that a fault common to many of them leaves
#: time on the loop for the others.
SPACE_S: Final = 0.05


class _Record:
    """The deaths of one request's coordinator."""

    __slots__ = ("asked", "budget", "count", "given_up", "last", "reason")

    def __init__(self) -> None:
        self.budget = RestartBudget(COORDINATOR_POLICY)
        self.given_up: RestartBudget | None = None
        self.count = self.asked = 0
        self.reason = self.last = ""


class Restarts:
    """Counts the deaths of coordinators and decides after each."""

    def __init__(self) -> None:
        self._records: dict[RequestKey, _Record] = {}
        #: When requests of an earlier life were recovered, which was a rebuild as well.
        self._rebuilt: dict[RequestKey, float] = {}
        self._next_s = 0.0

    def rebuilt(self, key: RequestKey, now: float) -> None:
        """Note that a coordinator is rebuilt from its log although none died in this life."""
        self._rebuilt[key] = now

    def died(self, key: RequestKey, now: float, reason: str) -> float | None:
        """Count a death; return the delay of the next start, or None if there is none."""
        record = self._record(key)
        if record.given_up is not None:
            decision = record.given_up.failed(now)
            return self._spaced(now, decision.delay_s) if isinstance(decision, Restart) else None
        record.count += 1
        record.reason = record.last = reason
        decision = record.budget.failed(now)
        if isinstance(decision, Restart):
            return self._spaced(now, decision.delay_s)
        record.given_up = RestartBudget(GIVEN_UP_POLICY)
        return self._spaced(now, 0.0)

    def asked(self, key: RequestKey, reason: str) -> None:
        """Note that somebody has a coordinator started again, which is no death."""
        record = self._record(key)
        record.asked += 1
        record.last = reason

    def restarted(self, key: RequestKey) -> Restarted | None:
        """Return how often and why a coordinator was started again; None if it was not."""
        record = self._records.get(key)
        if record is None:
            return None
        count, limit = record.count + record.asked, COORDINATOR_POLICY.max_restarts
        return Restarted(count, record.budget.used, limit, record.last)

    def _record(self, key: RequestKey) -> _Record:
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = _Record()
            if key in self._rebuilt:
                record.budget.failed(self._rebuilt[key])
        return record

    def failure(self, key: RequestKey) -> model.Failure | None:
        """Return why a request must end; None if it continues."""
        record = self._records.get(key)
        if record is None or record.given_up is None:
            return None
        text = f"the coordinator of request {'/'.join(key)} failed {record.count} times;"
        text += f" the last time with {record.reason}"
        return model.Failure(kind="internal", type="CoordinatorFailed", message=text)

    def why(self, key: RequestKey) -> str:
        """Return in words why a request has no coordinator; empty: none died."""
        record = self._records.get(key)
        if record is None:
            return ""
        if not record.count:
            return f"its coordinator was {record.last}; it is rebuilt from its log"
        last = f"the last time with {record.reason}"
        return f"its coordinator died {record.count} times, {last}; it is rebuilt from its log"

    def forget(self, key: RequestKey) -> None:
        """Forget a request that has ended."""
        self._records.pop(key, None)
        self._rebuilt.pop(key, None)

    def _spaced(self, now: float, delay_s: float) -> float:
        self._next_s = max(self._next_s + SPACE_S, now + delay_s)
        return self._next_s - now
