"""Figures: what was measured, as it is written to ``bench.json``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

_ALWAYS = frozenset({"peer", "work", "n", "p50_ms", "p99_ms", "per_s", "seconds", "rss_mb"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measurement.

    Attributes:
        peer: Who did the work.
        work: What was done.
        n: How much: requests, clients, invocations, megabytes of text or keys.
        p50_ms: Median latency of a request.
        p99_ms: 99th percentile of it.
        per_s: Requests or invocations a second.
        seconds: How long the work took.
        rss_mb: Peak resident memory; of a JobX node, or where many keys are reduced of the
            largest process.
        cpu_percent: Processor time of an idle node.
        disk_mb: Peak size of what was spilled to disk.
    """

    peer: str
    work: str
    n: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    per_s: float | None = None
    seconds: float | None = None
    rss_mb: float | None = None
    cpu_percent: float | None = None
    disk_mb: float | None = None

    def to_json(self) -> str:
        """Return the figure as one line."""
        fields = {name: _rounded(value) for name, value in asdict(self).items()}
        shown = {name: v for name, v in fields.items() if v is not None or name in _ALWAYS}
        return json.dumps(shown)

    @staticmethod
    def from_json(line: str) -> Figure:
        """Return the figure of a line."""
        return Figure(**json.loads(line))


def median(figures: Iterable[Figure]) -> list[Figure]:
    """Return one figure for each peer, work and n: the median of each column."""
    found: dict[tuple[str, str, int], list[Figure]] = {}
    for figure in figures:
        found.setdefault((figure.peer, figure.work, figure.n), []).append(figure)
    return [_median(same) for same in found.values()]


def _median(same: Sequence[Figure]) -> Figure:
    columns = {}
    for name in asdict(same[0]).keys() - {"peer", "work", "n"}:
        measured = [value for figure in same if (value := getattr(figure, name)) is not None]
        if measured:
            columns[name] = statistics.median_high(measured)
    return replace(same[0], **columns)


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
