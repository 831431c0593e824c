"""Which requests there are, over HTTP and on the command line, through kills of the node."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from jobx import model
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import open_store
from jobx.tools.cli import main
from tests.support.authoring import WORKFLOW, define, settings_of
from tests.support.served import Answer, Served, kill, served
from tests.support.waiting import eventually

#: Fails with an exception of a name that no address has by itself.
ODD: Final = """
class Überlauf(Exception):
    pass

def handler(arguments):
    if arguments.get("odd"):
        raise Überlauf("no")
    yield Return()
    yield "k", 1
"""
LONG: Final = "x" * 100_000


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    folder = tmp_path_factory.mktemp("lists") / "d"
    steps = {"odd": ("odd", "sum"), "plain": ("odd", "sum")}
    define(folder, {"odd": ODD}, steps)
    with closing(open_store(settings_of(folder))) as store:
        entities = Entities(store)
        job = entities.get(model.Job, WORKFLOW, "odd")
        entities.put(replace(job, search=("n", "name")))
    with served(folder) as one:
        yield one, folder


def listed(serving: Served, **query: object) -> Any:
    return get(serving, f"/request/{WORKFLOW}?{urlencode(query)}")


def get(serving: Served, path: str) -> Answer:
    return serving.ask("GET", path, None, 60.0, {})


def ids(serving: Served, **query: object) -> list[str]:
    """Return the ids of all pages."""
    found: list[str] = []
    after: dict[str, object] = {}
    while True:
        answer = listed(serving, **query, **after)
        assert answer.status == 200, answer
        found += [one["request_id"] for one in answer.body["requests"]]
        if answer.body["next"] is None:
            return found
        after = {"after": answer.body["next"]}


def command(folder: Path, *words: str) -> Any:
    done = CliRunner().invoke(main, ["request", *words, "--json", "--data", str(folder)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def post(serving: Served, job: str, **arguments: object) -> str:
    return serving.post(job, arguments).request_id


def test_requests_are_found_by_job_time_error_and_arguments(
    serving: tuple[Served, Path],
) -> None:
    one, folder = serving
    number = post(one, "odd", n=1, name="é/..")
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    text = post(one, "odd", n="1", name=LONG)
    truth = post(one, "odd", n=True, odd=True)
    plain = post(one, "plain", n=1)
    cases: list[tuple[dict[str, object], list[str]]] = [
        ({"job": "odd"}, [truth, text, number]),
        ({"job": "odd", "limit": 1}, [truth, text, number]),
        ({"job": "odd", "state": "succeeded"}, [text, number]),
        ({"error": "Überlauf"}, [truth]),
        ({"error": "Überlauf", "job": "plain"}, []),
        ({"job": "odd", "arg.n": "1"}, [number]),
        ({"job": "odd", "arg.n": '"1"'}, [text]),
        ({"job": "odd", "arg.n": "true"}, [truth]),
        ({"job": "odd", "arg.n": "1.0", "arg.name": "é/.."}, [number]),
        ({"job": "odd", "arg.n": "1", "arg.name": "e/.."}, []),
        ({"job": "odd", "arg.n": "true", "error": "Überlauf", "state": "failed"}, [truth]),
        ({"since": since}, [plain, truth, text, number]),
        ({"until": since}, []),
        ({"since": "1h", "until": "0s", "job": "plain"}, [plain]),
    ]
    for query, found in cases:
        assert ids(one, **query) == found, query
        words = [
            word
            for name, value in query.items()
            for word in (
                ("--arg", f"{name[4:]}={value}") if "." in name else (f"--{name}", str(value))
            )
        ]
        if "limit" not in query:
            page = command(folder, "list", WORKFLOW, *words)
            assert [each["request_id"] for each in page["requests"]] == found, words


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"state": "odd"}, "query parameter state"),
        ({"job": "A b"}, "query parameter job"),
        ({"since": "yesterday"}, "query parameter since"),
        ({"until": "-1"}, "query parameter until"),
        ({"error": ""}, "query parameter error"),
        ({"arg.n": "1"}, "search: needs the job"),
        ({"arg.": "1", "job": "odd"}, "query parameter arg."),
        ({"arg.n": "[1]", "job": "odd"}, "query parameter arg.n"),
        ({"arg.odd": "1", "job": "odd"}, "it names n, name"),
        ({"arg.n": "1", "job": "plain"}, "it names none"),
        ({"after": "0" * 26 + ".00000000"}, "after: is a cursor of a list with another filter"),
        ({"after": "0" * 26, "job": "odd"}, "after: is a cursor of a list with another filter"),
        ({"after": "x"}, "query parameter after"),
        ({"limit": "0"}, "query parameter limit"),
        ({"colour": "red"}, "query parameter colour"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(
    serving: tuple[Served, Path], query: dict[str, object], named: str
) -> None:
    answer = listed(serving[0], **query)
    assert (answer.status, named in answer.body["detail"]) == (400, True), answer


def test_counts_are_right_through_kills_of_the_node(serving: tuple[Served, Path]) -> None:
    one, folder = serving

    def counts() -> Any:
        return get(one, f"/request/{WORKFLOW}/counts?job=plain").body["total"]

    before = counts()["succeeded"]
    for turn in range(3):
        for _ in range(4):
            post(one, "plain", n=turn)
        kill(one.node())
        eventually(lambda: get(one, "/health/ready").status == 200)
        assert counts()["succeeded"] == before + 4 * (turn + 1)
    (removed, *_) = ids(one, job="plain")
    command(folder, "cleanup", WORKFLOW, removed)
    assert counts()["succeeded"] == before + 11
    assert command(folder, "count", WORKFLOW, "--job", "plain")["total"] == counts()
