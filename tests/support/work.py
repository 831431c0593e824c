"""Work for tests that look at little of it."""

from __future__ import annotations

from typing import Any

from jobx.work import MapWork, PullWork, ReduceWork, RequestInfo


def map_work(first: int = 1, count: int = 1, **fields: Any) -> MapWork:
    """Return a batch."""
    own = {"mapper": "m", "reducer": "r", "chunk_pairs": 10, "batch_s": 1.0}
    return MapWork(first=first, count=count, **_common(fields) | own | fields)


def pull_work(vertex: int = 1, **fields: Any) -> PullWork:
    """Return the work of a suspended mapper."""
    return PullWork(vertex=vertex, **_common(fields) | fields)


def reduce_work(vertex: int = 1, **fields: Any) -> ReduceWork:
    """Return the work of a reducer."""
    return ReduceWork(vertex=vertex, **_common(fields) | {"reducer": "r", "inputs": []} | fields)


def _common(fields: dict[str, Any]) -> dict[str, Any]:
    request = RequestInfo("r", "w", fields.pop("job", "j"))
    return {"request": request, "step": "s", "time_limit_s": 10.0, "inline_bytes": 1 << 16}
