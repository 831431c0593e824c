"""The node's knowledge of workflows: jobs and plans, in memory, read again on change."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from jobx import entity_json, model
from jobx.errors import EntryDamaged, InvalidInput, JobxError, NotFound, TooLarge
from jobx.handlers.authoring.planning import Planner
from jobx.handlers.scope.arguments import Takes
from jobx.kv import keys
from jobx.kv.entities.entities import Entities
from jobx.kv.store import Put, Store

#: How long a plan is kept after it was current: requests with it may not be durable yet.
HELD_S: Final = 600.0
#: Part of a unit of the store that a plan may have. The rest is for what is written with it.
_PART: Final = 0.75

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pinned:
    """A plan. ``writes`` is empty once the plan is known to be in the store."""

    digest: str
    plan: model.Plan
    writes: list[Put]
    asked: bool = False


@dataclass(frozen=True, slots=True)
class _Past:
    """A plan that was current a moment ago, and the versions that it needs."""

    until: float
    workflow: str
    digest: str
    versions: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Known:
    """One workflow as it was last read."""

    jobs: dict[str, model.Job]
    pinned: _Pinned
    #: Why the plan omits steps, by step.
    broken: dict[str, JobxError]
    #: Why jobs, steps and handlers cannot be read, by kind and name.
    faults: dict[tuple[str, str], EntryDamaged]
    #: Why the workflow itself cannot be read.
    fault: JobxError | None = None
    #: The arguments that mappers of steps take, if their headers say so.
    takes: Mapping[str, Takes] = field(default_factory=dict)


class Library:
    """Workflows of the store, answered from memory.

    One thread calls the methods, except that any thread may call ``refresh``. A
    refresh replaces the knowledge in one assignment, and sees every change made before the call. A
    current plan must stay in the store while a node runs, because it is written only once.

    Args:
        store: Where workflows are.
        now: Monotonic seconds.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._past: deque[_Past] = deque()
        self._entities = Entities(store)
        self._refreshing = threading.Lock()  # an older read must not replace a newer one
        self._states: dict[str, bytes] | None = None
        self._known: dict[str, _Known] = {}
        self._versions: Mapping[tuple[str, str], str] = {}
        self._planner = Planner()

    @property
    def workflows(self) -> list[str]:
        """The names of all workflows that are known; from any thread."""
        return list(self._known)

    def refresh(self) -> bool:
        """Read the workflows that changed since the last refresh; return whether one did.

        If a part of a known workflow cannot be read, the old knowledge stays. If the workflow was
        never known, that part answers with its error, and the rest works. Raises the errors of the
        store.
        """
        with self._refreshing:
            return self._refresh()

    def _refresh(self) -> bool:
        states = self._entities.states()
        if states == self._states:
            self._confirm_plans()
            return False
        before = self._states or {}
        known = {}
        for name in self._names():
            old = self._known.get(name)
            is_same = old is not None and states.get(name) == before.get(name)
            if (fresh := old if is_same else self._read(name)) is not None:
                known[name] = fresh
        self._note_past(known)
        self._known = known
        self._versions = {
            (workflow, ref.handler_name): ref.version
            for workflow, one in known.items()
            for ref in one.pinned.plan.handlers()
        }
        self._states = states
        self._planner.forget(set().union(*(versions_of(one.pinned.plan) for one in known.values())))
        return True

    def _names(self) -> list[str]:
        prefix = keys.entities("workflow")
        damaged: list[EntryDamaged] = []
        found = [entry.key for entry in self._store.range(prefix, damaged=damaged)]
        return [key.removeprefix(prefix) for key in [*found, *(error.args[0] for error in damaged)]]

    def _note_past(self, known: dict[str, _Known]) -> None:
        """Remember the plans that are no longer current."""
        until = self._now() + HELD_S
        for name, old in self._known.items():
            if name not in known or known[name].pinned is not old.pinned:
                versions = frozenset(versions_of(old.pinned.plan))
                self._past.append(_Past(until, name, old.pinned.digest, versions))
        self._forget_past()

    def _forget_past(self) -> None:
        while self._past and self._past[0].until < self._now():
            self._past.popleft()

    @contextmanager
    def holding(self, workflow: str) -> Iterator[tuple[set[str], set[str]]]:
        """Yield the plans and the code of a workflow that unwritten requests may refer to.

        No other plan becomes current before the end of the ``with``.
        """
        with self._refreshing:
            self._forget_past()
            past = [item for item in self._past if item.workflow == workflow]
            digests = {item.digest for item in past}
            versions = {version for item in past for version in item.versions}
            known = self._known.get(workflow)
            if known is not None:
                digests.add(known.pinned.digest)
                versions |= versions_of(known.pinned.plan)
            yield digests, versions

    def job(self, workflow: str, job: str) -> model.Job:
        """Return a job.

        Raises:
            NotFound: The workflow or the job does not exist.
            EntryDamaged: One of them cannot be read.
        """
        known = self._workflow(workflow)
        found = known.jobs.get(job)
        if found is None and ("job", job) in known.faults:
            raise known.faults["job", job]
        if found is None:
            raise NotFound("job", f"{workflow}/{job}")
        return found

    def versions(self) -> Mapping[tuple[str, str], str]:
        """Return the versions of all handlers that steps use, by workflow and name.

        It is the same object until a workflow changes.
        """
        return self._versions

    def plan(self, workflow: str) -> tuple[str, model.Plan, list[Put]]:
        """Return the digest of a workflow's plan, the plan, and the writes that store it.

        The plan has the steps whose handlers all exist. Commit the writes together with the first
        reference to the digest. There are none once the plan is known to be in the store.

        Raises:
            NotFound: The workflow does not exist.
            TooLarge: The store does not take a plan of so many steps.
        """
        pinned = self._workflow(workflow).pinned
        for write in pinned.writes:
            self._check_size(workflow, len(write.value))
        pinned.asked = True
        return pinned.digest, pinned.plan, list(pinned.writes)

    def takes(self, workflow: str, step: str) -> Takes | None:
        """Return the arguments that the mapper of a step takes, None if its header does not say."""
        return self._workflow(workflow).takes.get(step)

    def unplanned(self, workflow: str, step: str) -> JobxError:
        """Return the error for a step that is not in the plan, with the reason."""
        known = self._workflow(workflow)
        reason = known.faults.get(("step", step)) or known.broken.get(step)
        if reason is None:
            return NotFound("step", f"{workflow}/{step}")
        if isinstance(reason, EntryDamaged):
            return reason
        return NotFound("step that can run", f"{workflow}/{step}: {reason}")

    def _workflow(self, name: str) -> _Known:
        known = self._known.get(name)
        if known is None:
            raise NotFound("workflow", name)
        if known.fault is not None:
            raise known.fault
        return known

    def _read(self, workflow: str) -> _Known | None:
        old = self._known.get(workflow)
        faults: dict[tuple[str, str], EntryDamaged] = {}
        try:
            snapshot = self._entities.snapshot(workflow, faults)
        except NotFound:  # it was deleted after it was listed
            return None
        except (InvalidInput, EntryDamaged) as error:
            _log.error("workflow %s cannot be read: %s", workflow, error)
            return old or _Known({}, _Pinned("", model.Plan(steps={}), []), {}, {}, error)
        for (kind, name), fault in faults.items():
            _log.error("%s %s/%s cannot be read: %s", kind, workflow, name, fault)
        if faults and old is not None:
            return old
        steps, broken = self._planner.pin(snapshot, faults)
        pinned = self._pinned(workflow, model.Plan(steps=steps), old)
        mappers = {name: snapshot.handlers[snapshot.steps[name].map_handler_name] for name in steps}
        read = {name: self._planner.takes(mapper) for name, mapper in mappers.items()}
        takes = {name: found for name, found in read.items() if found}
        return _Known(snapshot.jobs, pinned, broken, faults, takes=takes)

    def _pinned(self, workflow: str, plan: model.Plan, old: _Known | None) -> _Pinned:
        body = entity_json.encode(plan)
        digest = hashlib.sha256(body).hexdigest()
        if old is not None and old.pinned.digest == digest:
            return old.pinned
        key = keys.plan(workflow, digest)
        return _Pinned(digest, plan, [] if self._store.get(key) else [Put(key, body)])

    def _check_size(self, workflow: str, size_bytes: int) -> None:
        most = int(self._store.limits.size_bytes * _PART)
        if size_bytes > most:
            reason = f"the store takes plans of at most {most:,} bytes; divide the workflow"
            raise TooLarge(f"the plan of workflow {workflow}", f"{size_bytes:,} bytes", reason)

    def _confirm_plans(self) -> None:
        for workflow, known in self._known.items():
            pinned = known.pinned
            unsure = pinned.asked and pinned.writes
            if unsure and self._store.get(keys.plan(workflow, pinned.digest)):
                pinned.writes = []


def versions_of(plan: model.Plan) -> set[str]:
    """Return the handler versions that a plan needs."""
    return {ref.version for ref in plan.handlers()}
