"""Which work takes long, judged by earlier invocations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from jobx.actors.executors.process import WorkItem
from jobx.actors.messages import Run
from jobx.work import CombineWork, MapWork, PullWork, ReduceWork, Work

#: An invocation that takes longer than this is long.
LONG_S: Final = 1.0
#: How much the last duration of a version counts in what is usual.
NEW_SHARE: Final = 0.1
#: Number of steps and jobs that are remembered.
_REMEMBERED: Final = 4096
#: Number of usual times that outlast a restart.
KEPT: Final = 256
_KINDS: Final[dict[str, type[Work]]] = {
    str(kind.__struct_config__.tag): kind for kind in (MapWork, PullWork, CombineWork, ReduceWork)
}
_Name = tuple[str, ...]
#: A workflow, a step, whether it maps or reduces, and the versions of its handlers.
_Versions: TypeAlias = tuple[str, str, type[Work], _Name]
_Work: TypeAlias = WorkItem | Run


class UsualTime(Struct, frozen=True, array_like=True):
    """How long invocations of a step usually take, with some versions of its handlers."""

    workflow: str
    step: str
    kind: str
    versions: tuple[str, ...]
    usual_s: Annotated[float, Meta(ge=0, le=1e9)]


class Paces:
    """Remembers which steps have long invocations, which jobs have such steps, and usual durations.

    A step that is not known counts as short.
    """

    def __init__(self) -> None:
        self._long: OrderedDict[_Name, None] = OrderedDict()
        self._usual: OrderedDict[_Versions, float] = OrderedDict()

    def is_long(self, item: _Work) -> bool:
        """Whether the last invocation of the kind took long."""
        return bool(self._long) and _step(item) in self._long

    def is_of_long_job(self, item: WorkItem) -> bool:
        """Whether some step of its job takes long."""
        return bool(self._long) and _job(item) in self._long

    def saw(self, item: WorkItem, invocation_s: float) -> bool:
        """Note the duration of an invocation, also of a running one; return whether it is long."""
        if invocation_s < LONG_S:
            return False
        for name in (_step(item), _job(item)):
            self._long[name] = None
            self._long.move_to_end(name)
        while len(self._long) > _REMEMBERED:
            self._long.popitem(last=False)
        return True

    def ended(self, item: WorkItem, invocation_s: float) -> None:
        """Note the duration of an invocation; a long step may become short again."""
        name = _versions(item)
        known = self._usual.get(name)
        self._usual[name] = (
            invocation_s if known is None else known + (invocation_s - known) * NEW_SHARE
        )
        self._usual.move_to_end(name)
        if known is None and len(self._usual) > _REMEMBERED:
            self._usual.popitem(last=False)
        if invocation_s >= LONG_S:
            self.saw(item, invocation_s)
        elif self._long and invocation_s < LONG_S / 2:
            self._long.pop(_step(item), None)

    def usual_s(self, item: WorkItem) -> float:
        """Return how long invocations with these versions usually take; 0: not known."""
        return self._usual.get(_versions(item), 0.0)

    def usual_times(self) -> list[UsualTime]:
        """Return the usual times of the versions that ran last, the last one first."""
        last = islice(reversed(self._usual.items()), KEPT)
        return [
            UsualTime(workflow, step, str(kind.__struct_config__.tag), versions, usual_s)
            for (workflow, step, kind, versions), usual_s in last
        ]

    def recall(self, times: Sequence[UsualTime]) -> None:
        """Take over usual times of an earlier life, of versions that are not known yet."""
        for one in reversed(times[:KEPT]):
            kind = _KINDS.get(one.kind)
            if kind is not None:
                name = one.workflow, one.step, kind, one.versions
                self._usual.setdefault(name, one.usual_s)


def _versions(item: _Work) -> _Versions:
    work = item.work
    return item.key.workflow, work.step, type(work), work.versions


def _job(item: _Work) -> _Name:
    return item.key.workflow, item.work.request.job


def _step(item: _Work) -> _Name:
    return (*_job(item), item.work.kind, item.work.step)
