"""Which results are written at once, and which are streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from falcon import testing
from falcon.asgi import Response

from jobx.handlers.pairs.run_writer import RunWriter
from jobx.http.writing import media, results
from jobx.values import Value
from jobx.views import ResultView

JSON = media.AcceptedFormats(media.JSON, media.JSON)


def sent(items: Sequence[tuple[str, list[Value]]]) -> Response:
    """Return the response that a result of these keys and their values makes."""
    payload = RunWriter("", "r", 1 << 20).run(items, in_sections=False)
    pairs = sum(len(listed) for _, listed in items)
    view = ResultView(
        request_id="r1",
        pairs=pairs,
        size_bytes=payload.size_bytes,
        payloads=[payload.to_wire()],
        blob_dir="",
    )
    response = Response()
    reading = results.Reading(1 << 20, str)
    asyncio.run(results._send_result(testing.create_asgi_req(), response, view, JSON, reading))
    return response


@pytest.mark.parametrize(
    ("items", "is_streamed"),
    [
        ([], False),
        ([("k", [1])], False),
        ([(f"k{number:04}", [number]) for number in range(1000)], False),
        ([("k" * 4000, [0, 1, 2])], False),
        ([("k" * 4000, list(range(1000)))], True),
    ],
    ids=["nothing", "one", "many keys", "large key", "large key of many"],
)
def test_small_result_is_written_at_once_unless_its_pairs_are_large(
    items: list[tuple[str, list[Value]]], is_streamed: bool
) -> None:
    response = sent(items)
    assert (response.stream is not None, response.data is None) == (is_streamed, is_streamed)
