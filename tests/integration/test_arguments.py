"""Arguments and results through ``jobx serve``: refused early, kept, counted by pairs."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest

from jobx import config_loading
from jobx.errors import InvalidInput
from jobx.kv.blobs import BlobFolder
from tests.support.authoring import WORKFLOW, define
from tests.support.etcd import Etcd
from tests.support.http_sink import HttpSink, http_sink
from tests.support.served import Served, served
from tests.support.waiting import eventually

MAP = "def handler(size, gate='', n=1):\n    yield Return()\n    yield 'size', size\n"
#: Waits for a file, then returns the length of a long argument.
LONG = """
import os, time
def handler(text, gate):
    yield Return()
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    yield "length", len(text)
"""
#: As many values as are asked for, under a key for each ten.
MANY = """
def handler(n):
    yield Return()
    for number in range(n):
        yield number // 10, number
"""
KEEP = "def handler(key, values):\n    yield from ((key, value) for value in values)\n"
SPEC = {"argument_spec": (("size", "int"),)}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data_dir = tmp_path_factory.mktemp("served") / "d"
    handlers = {"typed": MAP, "long": LONG, "many": MANY, "keep": KEEP}
    steps = {"typed": ("typed", "keep"), "long": ("long", "keep"), "many": ("many", "keep")}
    define(data_dir, handlers, steps, typed=SPEC)
    with served(data_dir, JOBX_HTTP_MAX_INLINE_PAIRS="500") as made:
        yield made


class Refusing(NamedTuple):
    """A server that would tell of trouble, its folder, and who would hear it."""

    serving: Served
    data_dir: Path
    sink: HttpSink


@pytest.fixture(scope="module", params=["sqlite", "etcd", "etcd2"])
def refusing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Refusing]:
    data_dir = tmp_path_factory.mktemp("refusing") / "d"
    with http_sink() as sink, ExitStack() as stack:
        told = {"JOBX_NOTIFY_HTTP_URL": sink.url, "JOBX_NOTIFY_HTTP_KEY": "k" * 32}
        with pytest.MonkeyPatch.context() as patch:  # other tests have stores of their own
            if request.param != "sqlite":
                servers: Etcd = request.getfixturevalue("etcd")
                url = f"{servers.url_of(request.param)}/{uuid.uuid4().hex}"
                patch.setenv("JOBX_STORE_URL", url)
            define(data_dir, {"typed": MAP}, {"typed": ("typed", "sum")}, typed=SPEC)
            serving = stack.enter_context(served(data_dir, **told))
        yield Refusing(serving, data_dir, sink)


def _requests(serving: Served) -> list[Any]:
    found: list[Any] = serving.ask("GET", f"/request/{WORKFLOW}", None, 20, {}).body["requests"]
    return found


def _kept(data_dir: Path) -> list[Any]:
    return list(BlobFolder(data_dir / "blobs").requests())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": "many"}, "size"),
        ({}, "size"),
        ({"size": 1, "colour": 2}, "colour"),
        ({"size": {"$decimal": "1E+1000000"}}, "size"),
        ({"size": "x" * 300_000}, "size"),
    ],
    ids=["type", "missing", "unknown", "huge", "in a blob"],
)
def test_arguments_that_do_not_fit_are_refused_and_nothing_is_kept_or_told(
    arguments: dict[str, Any], said: str, refusing: Refusing
) -> None:
    serving, data_dir, sink = refusing
    before, kept = _requests(serving), _kept(data_dir)
    key = uuid.uuid4().hex
    answer = serving.post("typed", arguments, Idempotency_Key=key)
    assert (answer.status, answer.body["code"]) == (422, "arguments")
    assert said in answer.body["detail"]
    assert _requests(serving) == before
    assert set(_kept(data_dir)) <= set(kept)  # what earlier ones left goes by and by
    good = serving.post("typed", {"size": 3}, Idempotency_Key=key)  # it was not used up
    assert good.pairs == [["size", 3]]
    assert sink.posts == []


@pytest.mark.every_store
def test_large_arguments_outlast_a_crash(tmp_path: Path) -> None:
    data_dir, gate = tmp_path / "d", tmp_path / "gate"
    define(data_dir, {"long": LONG, "keep": KEEP}, {"long": ("long", "keep")})
    with served(data_dir) as serving:
        arguments = {"text": "x" * 3_000_000, "gate": str(gate)}
        request_id = serving.post("long", arguments, Prefer="respond-async").request_id
        eventually(lambda: serving.get(request_id).body["state"] == "running")
        serving.kill_all()
        gate.touch()
        serving.start()
        answer = serving.get(request_id, "/result", Prefer="wait=60")
        assert answer.pairs == [["length", 3_000_000]]


def _raw(serving: Served, n: int, accept: str) -> tuple[str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
    sent = json.dumps({"arguments": {"n": n}})
    headers = {"Content-Type": "application/json", "Accept": accept}
    connection.request("POST", f"/job/{WORKFLOW}/many", sent, headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return answer.headers["Content-Type"], body


@pytest.mark.parametrize(("n", "is_small"), [(500, True), (501, False), (5000, False)])
def test_a_result_is_large_by_its_pairs_and_not_by_its_keys(
    n: int, is_small: bool, serving: Served
) -> None:
    """Ten pairs have a key: 501 pairs are 51 keys."""
    form, _ = _raw(serving, n, "application/json, application/x-ndjson")
    assert form == ("application/json" if is_small else "application/x-ndjson")


@pytest.mark.parametrize("n", [3, 501, 200_000])
@pytest.mark.parametrize("form", ["json", "x-ndjson", "msgpack"])
def test_a_result_with_several_values_a_key_says_how_many_pairs_it_has(
    n: int, form: str, serving: Served
) -> None:
    _, body = _raw(serving, n, f"application/{form}")
    if form == "x-ndjson":
        pairs = [json.loads(line) for line in body.splitlines()]
    else:
        document = json.loads(body) if form == "json" else msgpack.unpackb(body)
        pairs = document["result"]["pairs"]
    assert pairs == [[number // 10, number] for number in range(n)]


def test_a_request_counts_its_pairs(serving: Served) -> None:
    request_id = serving.post("many", {"n": 45}).request_id
    assert serving.get(request_id).body["result_pairs"] == 45


def test_a_body_limit_beyond_what_a_frame_carries_is_refused_at_the_start() -> None:
    limit = 60 << 20
    settings = config_loading.load(None, {"JOBX_HTTP_MAX_BODY_BYTES": str(limit)}, {})
    assert settings.http.max_body_bytes == limit
    with pytest.raises(InvalidInput, match=rf"http\.max_body_bytes.*{limit}"):
        config_loading.load(None, {"JOBX_HTTP_MAX_BODY_BYTES": str(limit + 1)}, {})
