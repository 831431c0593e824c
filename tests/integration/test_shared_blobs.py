"""Real nodes that share the place of their large values: one dies, and another continues."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from jobx.config_sections import BlobSettings
from jobx.errors import ConfigError, StoreUnavailable
from jobx.tools.cli import main
from tests.support.authoring import WORKFLOW, define
from tests.support.blob_places import settings_of
from tests.support.etcd import Etcd
from tests.support.file_stores import Stores, stores
from tests.support.live_node import LiveNode, live_node, outcome_of, pairs_of
from tests.support.served import Served, served
from tests.support.waiting import eventually

__all__ = ["stores"]

TEXT = "x" * 100_000
#: Gives back what it is given, many times.
REPEAT = """
def handler(arguments):
    yield Return()
    for number in range(5):
        yield number, arguments["text"] + str(number)
"""
LISTED = "def handler(key, values):\n    yield key, list(values)[0]\n"
#: Its session is too large for an event in the store.
FAN = """
def handler(arguments):
    S_SET("large", "y" * 300_000)
    yield Map("each")
    for number in range(20):
        yield number, arguments["text"]
"""
#: Leaves a line, and a large value.
EACH = """
def handler(key, value):
    with open("RUNS", "a") as file:
        file.write(f"{key}\\n")
    yield Return()
    yield key, value + str(key)
"""
GATED = """
import os, time
def handler(results):
    assert len(S_GET("large")) == 300_000
    while not os.path.exists("GO"):
        time.sleep(0.01)
    for key, values in results:
        yield key, values[0]
"""


def fanned() -> list[list[Any]]:
    """Return the result of ``fan``."""
    return [[number, TEXT + str(number)] for number in range(20)]


def handlers(folder: Path) -> dict[str, str]:
    """Return the handlers, which look and write into a folder."""
    each = EACH.replace("RUNS", str(folder / "runs"))
    gated = GATED.replace("GO", str(folder / "go"))
    return {"repeat": REPEAT, "listed": LISTED, "fan": FAN, "each": each, "gated": gated}


STEPS = {"repeat": ("repeat", "listed"), "fan": ("fan", "gated"), "each": ("each", "listed")}


def variables(settings: BlobSettings) -> dict[str, str]:
    """Return the variables of a place."""
    options = msgspec.json.encode(settings.options).decode()
    return {"JOBX_BLOBS_URL": settings.url, "JOBX_BLOBS_OPTIONS": options}


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> BlobSettings:
    return settings_of(stores, request.param, tmp_path)


@pytest.fixture
def mounted(stores: Stores, tmp_path: Path) -> BlobSettings:
    """A place that is a folder."""
    return settings_of(stores, "file", tmp_path)


@pytest.fixture
def serve(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """Starts servers, each on a folder, which have a store on etcd of this test's own."""
    monkeypatch.setenv("JOBX_STORE_URL", f"{etcd.url}/{uuid.uuid4().hex}")
    with ExitStack() as stack:

        def start(folder: Path, place: BlobSettings) -> Served:
            made = Served(folder, variables(place))
            stack.callback(made.kill_all)
            made.start()
            return made

        yield start


def test_a_node_elsewhere_answers_what_ended_and_continues_what_is_open(
    serve: Callable[..., Served], place: BlobSettings, tmp_path: Path
) -> None:
    define(tmp_path / "a", handlers(tmp_path), STEPS)
    before = serve(tmp_path / "a", place)
    ended = before.post("repeat", {"text": TEXT})
    assert len(ended.pairs) == 5
    opened = before.post("fan", {"text": TEXT}, Prefer="respond-async")
    runs = tmp_path / "runs"
    eventually(lambda: runs.exists() and len(runs.read_text().split()) == 20)
    eventually(lambda: _is_gathered(before, opened.request_id))
    assert list((tmp_path / "a").glob("blobs/*/*/event-*"))
    before.kill_all()
    shutil.rmtree(tmp_path / "a")

    after = serve(tmp_path / "b", place)
    assert after.get(ended.request_id, "/result").body == ended.body
    (tmp_path / "go").touch()
    assert after.get(opened.request_id, "/result", Prefer="wait=60").pairs == fanned()
    assert sorted(map(int, runs.read_text().split())) == list(range(20))


def _is_gathered(served: Served, request_id: str) -> bool:
    """Whether the outputs of all children are in the store."""
    nodes = _nodes(served.get(request_id, "/trace").body["root"])
    each = [one for one in nodes if one["kind"] == "map" and one["step_name"] == "each"]
    return len(each) == 20 and {one["state"] for one in each} == {"succeeded"}


def _nodes(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield root
    for child in root.get("children") or ():
        yield from _nodes(child)


def test_a_place_that_goes_away_and_comes_back_costs_no_request(
    mounted: BlobSettings, tmp_path: Path
) -> None:
    """Nobody is blamed, and what an executor gave up is done again."""
    data_dir, place = tmp_path / "data", tmp_path / "place"
    (tmp_path / "go").touch()
    define(data_dir, handlers(tmp_path), STEPS)
    with live_node(data_dir, blobs__url=mounted.url) as node:
        place.rename(tmp_path / "away")
        running = node.post_later("repeat", {"text": "short" * 4000})
        eventually(lambda: list(data_dir.glob("blobs/*/*/*")))  # it was written here
        (tmp_path / "away").rename(place)
        outcome = outcome_of(running)
        assert len(pairs_of(outcome)) == 5
        assert outcome.request.failure is None
    assert list((place / "blobs" / WORKFLOW).iterdir())


def test_a_node_whose_place_is_away_says_so_and_runs_what_needs_none(
    mounted: BlobSettings, tmp_path: Path
) -> None:
    """One executor is left to a small request by large ones, which end once it is back."""
    data_dir, place = tmp_path / "data", tmp_path / "place"
    define(data_dir, handlers(tmp_path), STEPS)
    with live_node(data_dir, blobs__url=mounted.url, node__executors=1) as node:
        assert node.ask("node.ready")["trouble"] is None
        place.rename(tmp_path / "away")
        waiting = [node.post_later("repeat", {"text": "short" * 4000}) for _ in range(4)]
        eventually(lambda: f"file://{place}" in str(node.ask("node.ready")["trouble"]))
        assert len(pairs_of(node.post("repeat", {"text": "small"}))) == 5
        assert not any(one.done() for one in waiting)
        (tmp_path / "away").rename(place)
        assert [len(pairs_of(outcome_of(one))) for one in waiting] == [5] * 4
        eventually(lambda: node.ask("node.ready")["trouble"] is None)


def test_arguments_that_a_place_does_not_take_start_no_request(
    mounted: BlobSettings, tmp_path: Path
) -> None:
    data_dir, place = tmp_path / "data", tmp_path / "place"
    define(data_dir, handlers(tmp_path), STEPS)
    with live_node(data_dir, blobs__url=mounted.url) as node:
        place.rename(tmp_path / "away")
        with pytest.raises(StoreUnavailable, match="large values in file:"):
            node.post("repeat", {"text": TEXT})
        assert node.status().open_requests == 0
        assert list(data_dir.glob("blobs/*/*")) == []
        (tmp_path / "away").rename(place)
        assert len(pairs_of(node.post("repeat", {"text": TEXT}))) == 5


def test_all_that_reads_results_fetches_what_is_not_here(
    mounted: BlobSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir, copies, out = tmp_path / "data", tmp_path / "data" / "blobs", tmp_path / "out"
    out.mkdir()
    define(data_dir, handlers(tmp_path), STEPS)
    writing = {"JOBX_RESULTS_WRITER": "file", "JOBX_RESULTS_FILE_PATH": str(out)}
    for name, text in (variables(mounted) | writing).items():
        monkeypatch.setenv(name, text)
    with served(data_dir, **variables(mounted), **writing) as serving:
        request_id = serving.post("repeat", {"text": TEXT}).request_id
        eventually(lambda: _is_delivered(serving, request_id))
        (written,) = out.rglob("*.ndjson")
        body = written.read_bytes()
        written.unlink()

        shutil.rmtree(copies)
        found = serving.get(request_id, "/result").pairs
        shutil.rmtree(copies)
        told = CliRunner().invoke(
            main, ["request", "result", WORKFLOW, request_id, "--data", str(data_dir)]
        )
        shutil.rmtree(copies)
        serving.ask("POST", f"/request/{WORKFLOW}/{request_id}/delivery", None, 60.0, {})
        eventually(written.exists)

        assert json.loads(told.stdout)["result"]["pairs"] == found
        assert list(map(json.loads, body.splitlines())) == found
        assert written.read_bytes() == body


def _is_delivered(serving: Served, request_id: str) -> bool:
    (delivery,) = serving.get(request_id).body["deliveries"]
    return bool(delivery["state"] == "delivered")


def test_jobx_run_puts_its_result_into_the_place(mounted: BlobSettings, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    define(data_dir, handlers(tmp_path), STEPS)
    words = ["run", f"{WORKFLOW}/repeat", "-a", f"text={TEXT}", "--data", str(data_dir)]
    command = CliRunner(env=variables(mounted)).invoke(main, words)
    assert command.exit_code == 0, command.stderr
    kept = [path.name for path in (tmp_path / "place").glob(f"blobs/{WORKFLOW}/*/*")]
    assert len([name for name in kept if not name.endswith("-stages")]) == 2


@pytest.mark.parametrize("stage", ["first", "later"])
def test_a_node_with_a_wrong_place_does_not_start(
    stores: Stores, tmp_path: Path, stage: str
) -> None:
    right = settings_of(stores, "s3", tmp_path)
    wrong = msgspec.structs.replace(right, url="s3://no-such-bucket/x")
    if stage == "later":
        with _node(tmp_path, right):
            pass
    with (
        pytest.raises(ConfigError, match=r"blobs\.url.*s3://no-such-bucket"),
        _node(tmp_path, wrong),
    ):
        raise AssertionError


def test_two_stores_do_not_share_a_place(stores: Stores, tmp_path: Path) -> None:
    place = settings_of(stores, "s3", tmp_path)
    with _node(tmp_path / "one", place):
        pass
    with pytest.raises(ConfigError, match="another store"), _node(tmp_path / "two", place):
        raise AssertionError


def _node(folder: Path, place: BlobSettings) -> AbstractContextManager[LiveNode]:
    return live_node(folder / "data", blobs__url=place.url, blobs__options=place.options)
