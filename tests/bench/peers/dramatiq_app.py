"""The actors of Dramatiq: what its processes load."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from tests.bench import work

URL = "DRAMATIQ_URL"

broker = RedisBroker(url=os.environ[URL])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ[URL]), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def map_number(number: int) -> list[tuple[int, list[int]]]:
    return work.map_number(number)


@dramatiq.actor
def reduce_one(mapped: list[tuple[int, list[int]]]) -> list[tuple[int, int]]:
    return list(work.sum_groups([mapped]).items())


@dramatiq.actor
def count_chunk(path: str, start: int, stop: int) -> dict[str, int]:
    return work.count_chunk(path, start, stop)
