"""The Celery application: what its processes load."""

from __future__ import annotations

from celery import Celery

from tests.bench import work

app = Celery("bench")
app.conf.update(
    task_serializer="msgpack",
    result_serializer="msgpack",
    accept_content=["msgpack"],
    # What its documentation advises for many short ones.
    worker_prefetch_multiplier=16,
)


@app.task
def map_number(number: int) -> list[tuple[int, list[int]]]:
    return work.map_number(number)


@app.task
def reduce_one(mapped: list[tuple[int, list[int]]]) -> list[tuple[int, int]]:
    return list(work.sum_groups([mapped]).items())


@app.task
def count_chunk(path: str, start: int, stop: int) -> dict[str, int]:
    return work.count_chunk(path, start, stop)
