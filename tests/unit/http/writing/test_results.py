"""Which results are written at once, and which are streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from falcon import testing
from falcon.asgi import Response

from jobx.errors import BlobDamaged
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


LARGE = 3 * results.SLICE_BYTES
LONG = results.TEXT_CHARS + 1


def whole(response: Response) -> bytes:
    """Return the body of a response, however it is sent."""

    async def read() -> bytes:
        return b"".join([part async for part in response.stream])

    return response.data if response.stream is None else asyncio.run(read())


@pytest.mark.parametrize("form", [media.JSON, media.NDJSON, media.MSGPACK])
@pytest.mark.parametrize("sections", [1, 4])
@pytest.mark.parametrize(
    "items",
    [
        [("k", ["x" * LARGE])],
        [("k", ["x" * LARGE, 1])],
        [("a", [1]), ("b", ["x" * LARGE])],
        [(f"k{n}", ["x" * LARGE if n % 3 == 0 else n]) for n in range(8)],
    ],
    ids=["one", "two of a key", "two", "many"],
)
def test_a_large_value_of_a_blob_is_sent_as_any_other(
    tmp_path: Path, items: list[tuple[str, list[Value]]], sections: int, form: media.Format
) -> None:
    pairs = [(key, value) for key, listed in items for value in listed]
    response = sent_of(tmp_path, items, sections, form)
    assert whole(response) == form.body(pairs)


TEXTS = {
    "plain": "x" * LONG,
    "just not long": "x" * results.TEXT_CHARS,
    "several parts": "0123456789" * LONG,
    "escaped": '\\"\n\0\u2028' * LONG,
    "wide": "é€\U0010ffff" * LONG,
}


@pytest.mark.parametrize("form", [media.JSON, media.NDJSON, media.MSGPACK])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_long_text_is_sent_as_any_other(tmp_path: Path, kind: str, form: media.Format) -> None:
    key = '"",""' * 3
    items: list[tuple[str, list[Value]]] = [("a", [1]), (key, [TEXTS[kind], "", TEXTS[kind]])]
    pairs = [(name, value) for name, listed in items for value in listed]
    response = sent_of(tmp_path, items, 1, form)
    assert whole(response) == form.body(pairs)


def test_others_have_their_turn_while_a_long_text_is_written(tmp_path: Path) -> None:
    response = sent_of(tmp_path, [("k", [TEXTS["several parts"]])], 1, media.JSON)
    parts: list[bytes] = []

    async def read() -> list[int]:
        turns: list[int] = []
        ticking = asyncio.create_task(_tick(parts, turns))
        async for part in response.stream:
            parts.append(part)
        ticking.cancel()
        return turns

    turns = asyncio.run(read())
    assert len(parts) > 10
    assert set(range(3, len(parts) - 1)) <= set(turns)


async def _tick(parts: list[bytes], turns: list[int]) -> None:
    while True:
        turns.append(len(parts))
        await asyncio.sleep(0)


def test_nothing_is_sent_of_a_large_value_that_was_damaged(tmp_path: Path) -> None:
    items: list[tuple[str, list[Value]]] = [("k", ["x" * LARGE])]
    with pytest.raises(BlobDamaged, match="checksum"):
        sent_of(tmp_path, items, 1, media.JSON, is_damaged=True)


def sent_of(
    folder: Path,
    items: Sequence[tuple[str, list[Value]]],
    sections: int,
    form: media.Format,
    *,
    is_damaged: bool = False,
) -> Response:
    payload = RunWriter(str(folder), "r", 0, sections).run(items, in_sections=True)
    path = folder / str(payload.blob)
    if is_damaged:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    view = ResultView(
        request_id="r1",
        pairs=payload.pair_count,
        size_bytes=payload.size_bytes,
        payloads=[payload.to_wire()],
        blob_dir=str(folder),
    )
    response, formats = Response(), media.AcceptedFormats(form, form)
    reading = results.Reading(1 << 20, str)
    asyncio.run(results._send_result(testing.create_asgi_req(), response, view, formats, reading))
    return response
