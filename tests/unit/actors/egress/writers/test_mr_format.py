"""Results as receivers of mr read them."""

from __future__ import annotations

import csv
import io
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.egress.writers import files, mr_format
from jobx.actors.egress.writers.registry import Writers
from jobx.config import Settings
from jobx.config_sections import ResultSettings
from tests.support.http_sink import http_sink
from tests.support.results import result, site

PAIRS: list[Any] = [(1, 25), (2, "wörd"), ("total", 1.5), ("total", 2.5)]


def _write(name: str, **fields: Any) -> None:
    writers = Writers(site(Settings(results=ResultSettings(format="mr", **fields))))
    writer, options = writers.writer(name), writers.options(name, {})
    writer.check(options)
    writer.write(result(PAIRS), options)


def test_a_file_has_key_blank_value_for_each_pair(tmp_path: Path) -> None:
    _write("file", file_path=str(tmp_path))
    assert (tmp_path / "r1").read_bytes().decode() == (
        "1 25\r\n2 wörd\r\ntotal 1.5\r\ntotal 2.5\r\n"
    )


def test_a_folder_has_a_file_with_the_value_of_each_key(tmp_path: Path) -> None:
    _write("file", file_path=str(tmp_path), file_per_key=True)
    found = {path.name: path.read_text() for path in (tmp_path / "r1").iterdir()}
    assert found == {"1": "25", "2": "wörd", "total": "2.5"}


def test_values_that_are_replaced_are_not_kept() -> None:
    class Value:
        pass

    alive: weakref.WeakSet[Value] = weakref.WeakSet()
    counts = []

    def made() -> Iterator[Any]:
        for _ in range(100):
            value = Value()
            alive.add(value)
            counts.append(len(alive))
            yield value

    files._file_of_mr("k", made())
    assert max(counts) < 10


def test_a_post_has_the_list_of_pairs() -> None:
    with http_sink() as sink:
        _write("http", http_url=sink.url)
    (post,) = sink.posts
    assert json.loads(post.body) == [list(pair) for pair in PAIRS]
    names = {"X-REQUEST-ID": "r1", "X-WORKFLOW-NAME": "texts", "X-JOB-NAME": "count"}
    assert {name: post.headers[name] for name in names} == names


def test_a_blank_in_a_value_is_escaped() -> None:
    (line,) = mr_format.rows(result([("a b", [1, 2])]))
    (row,) = csv.reader(
        io.StringIO(line.decode()), delimiter=" ", quoting=csv.QUOTE_NONE, escapechar="\\"
    )
    assert row == ["a b", "[1, 2]"]


@pytest.mark.parametrize(
    ("key", "name"),
    [("a", "a"), (7, "7"), ("a.b-c_D", "a.b-c_D"), ("", None), ("../a", None), (".a", None)],
)
def test_the_name_of_a_file_is_its_key_if_it_stays_in_its_folder(key: Any, name: Any) -> None:
    assert mr_format.file_name(key) == name


def test_a_key_that_leads_elsewhere_has_a_name_of_now(tmp_path: Path) -> None:
    writers = Writers(site(Settings(results=ResultSettings(format="mr", file_path=str(tmp_path)))))
    options = writers.options("file", {"per_key": True})
    writers.writer("file").write(result([("../x", b"\x00")]), options)
    assert (tmp_path / "r1" / "%2E.%2Fx").read_bytes() == b"\x00"
