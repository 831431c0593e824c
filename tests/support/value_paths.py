"""Every way that values go through JobX without a process between: there, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
from falcon import testing

from jobx import frames, values
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.gateway.waiters import Waiters
from jobx.config import Settings
from jobx.config_sections import HttpSettings, ResultSettings
from jobx.errors import InvalidInput, JobxError
from jobx.handlers.languages import lines
from jobx.handlers.languages.answer import ProgramAnswer
from jobx.handlers.pairs import run_merger
from jobx.handlers.pairs.checking import snapshot
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.handlers.scope.names import Scope
from jobx.http.app import create_app
from jobx.kv.blobs import BlobFolder
from jobx.kv.collections import items
from jobx.tools.shared.parsing import parse_argument
from jobx.values import Value
from jobx.work import ReduceWork
from tests.support.fake_node import Desk, FakeNode
from tests.support.results import result, site
from tests.support.work import reduce_work

Path_ = Callable[[Value], Value]


class Echo(Desk):
    """Gives the arguments of every job back."""

    def pairs_of(self, job: str, arguments: dict[str, Any]) -> list[tuple[Any, Any]]:
        return list(arguments.items())


class EchoNode(FakeNode):
    """A node whose jobs give their arguments back."""

    def _desk(self, waiters: Waiters, blobs: BlobFolder | None) -> Desk:
        return Echo(self.store, waiters, blobs)


NODE: Final = EchoNode()
CLIENT: Final = testing.TestClient(
    create_app(NODE, HttpSettings(max_body_bytes=10_000_000, max_depth=64, max_items=1_000_000))
)


def json_text(value: Value) -> str:
    """Return a value as the JSON that a client writes."""
    return json.dumps(values.to_jsonable(value), ensure_ascii=False, default=_no_json)


def _no_json(thing: object) -> None:
    raise ValueError(f"no client writes {thing!r}")


def packed(value: Value) -> Value:
    return values.unpack(values.pack(value))


def packed_by_others(value: Value) -> Value:
    return values.unpack_foreign(values.pack(value))


def packed_in_a_row(value: Value) -> Value:
    reader = values.unpacker(is_foreign=True)
    reader.feed(values.pack(value) + values.pack(value))
    first, second = reader
    assert values.pack(first) == values.pack(second)
    return first


def frame(value: Value) -> Value:
    work = reduce_work(session=values.pack({"v": value}))
    (body,) = frames.FrameDecoder().bodies(frames.encode(work))
    return values.unpack(msgspec.msgpack.decode(body, type=ReduceWork).session)["v"]


def as_json(value: Value) -> Value:
    values.check_value(value)
    return values.from_jsonable(values.read_json(json_text(value)))


def argument(value: Value) -> Value:
    name, parsed = parse_argument(f"v={json_text(value)}")
    assert name == "v"
    return parsed


def handed(value: Value) -> Value:
    return snapshot(value)


def collected(value: Value) -> Value:
    return items.load(items.dump(value))


def grouped(value: Value) -> Value:
    with TemporaryDirectory() as folder:
        groups = Groups(RunWriter(folder, "run", 0), 1 << 30)
        groups.fill(iter([("k", value)]))
        ((_, back),) = run_merger.pairs(groups.payloads(), folder)
        return back


def line(value: Value) -> Value:
    """Through the line protocol, as a program in Python has it."""
    call = json.loads(lines.dump({"value": snapshot(value)}))
    answer = json.dumps({"pair": ["k", call["value"]]}).encode()
    pair: Any = next(ProgramAnswer(Scope()).yielded([answer]))
    back = pair[1]
    return snapshot(back)


def trace(value: Value) -> Value:
    """In the session of an invocation, as its trace shows it."""
    NODE.desk.session = {"v": snapshot(value)}
    response = CLIENT.simulate_post(
        "/job/texts/slow", body=b"{}", headers={"Content-Type": "application/json"}
    )
    address = f"/request/texts/{response.headers['x-mr-request-id']}/trace"
    shown = json.loads(CLIENT.simulate_get(address).content)["root"]["session"]
    return values.from_jsonable(shown)["v"]


def _refused(response: testing.Result) -> None:
    if response.status_code >= 400:
        problem = json.loads(response.content)
        assert response.status_code < 500, problem
        raise InvalidInput("body", "a value", problem["detail"])


def _body_of(value: Value, form: str) -> bytes:
    if form == "json":
        return f'{{"arguments": {{"v": {json_text(value)}}}}}'.encode(errors="surrogatepass")
    return values.pack({"arguments": {"v": value}})


def _read_pairs(content: bytes, accept: str) -> list[Any]:
    if accept == "application/msgpack":
        return list(values.unpack(content)["result"]["pairs"])
    if accept == "application/json":
        return list(values.from_jsonable(values.read_json(content.decode())["result"]["pairs"]))
    texts = content.decode().split("\n")[:-1]
    return [values.from_jsonable(values.read_json(text)) for text in texts]


def over_http(form: str, accept: str) -> Path_:
    """Return the way in as a body of one form, and out as a result of another."""

    def go(value: Value) -> Value:
        response = CLIENT.simulate_post(
            "/job/texts/count",
            body=_body_of(value, form),
            headers={"Content-Type": f"application/{form}", "Accept": accept},
        )
        _refused(response)
        ((name, back),) = _read_pairs(response.content, accept)
        assert name == "v"
        return back

    return go


def written(*, per_key: bool) -> Path_:
    """Return the way through the result writer ``file``."""

    def go(value: Value) -> Value:
        with TemporaryDirectory() as folder:
            writers = Writers(site(Settings(results=ResultSettings(file_path=folder))))
            options = writers.options("file", {"per_key": per_key})
            writers.writer("file").write(result([("k", snapshot(value))]), options)
            (file,) = (path for path in Path(folder).rglob("*") if path.is_file())
            found = values.from_jsonable(values.read_json(file.read_text()))
            return found if per_key else found[1]

    return go


def document(value: Value) -> Value:
    """In the document that the writers ``http``, ``email`` and ``object`` send."""
    text = b"".join(result([("k", snapshot(value))]).document()).decode()
    ((_, back),) = values.from_jsonable(values.read_json(text))["result"]["pairs"]
    return back


#: What carries values that were checked at a door.
CARRIERS: Final[dict[str, Path_]] = {
    "packed": packed,
    "packed by others": packed_by_others,
    "packed in a row": packed_in_a_row,
    "frame": frame,
}
DOORS: Final[dict[str, Path_]] = {
    "json": as_json,
    "argument": argument,
    "handed": handed,
    "collection": collected,
    "grouped": grouped,
    "line protocol": line,
    "trace": trace,
    "file": written(per_key=False),
    "file for each key": written(per_key=True),
    "document": document,
}
#: A body counts its own maps: the one that it is, and that of the arguments.
HTTP: Final[dict[str, Path_]] = {
    f"{form} in, {accept.rpartition('/')[2]} out": over_http(form, accept)
    for form in ("json", "msgpack")
    for accept in ("application/json", "application/x-ndjson", "application/msgpack")
}
PATHS: Final = {**CARRIERS, **DOORS, **HTTP}
#: What a value that is none may raise: a refusal with a name, nothing else.
REFUSALS: Final = (JobxError, ValueError)
