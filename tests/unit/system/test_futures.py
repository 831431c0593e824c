from __future__ import annotations

import asyncio

import pytest

from jobx.errors import InternalError
from jobx.system.futures import fulfil


async def answered(answer: object) -> object:
    future = asyncio.get_running_loop().create_future()
    fulfil(future, answer)
    return await future


def test_an_answer_is_the_result() -> None:
    assert asyncio.run(answered(3)) == 3


def test_an_error_is_raised() -> None:
    with pytest.raises(InternalError):
        asyncio.run(answered(InternalError("x")))


def test_what_comes_when_nobody_waits_any_more_is_dropped() -> None:
    async def late() -> bool:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        fulfil(future, 3)
        return future.cancelled()

    assert asyncio.run(late())
