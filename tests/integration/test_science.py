"""Packages of science in handlers: their scalars, their threads, and what they leave."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import frames
from tests.support.executors import Executor, ExecutorHost
from tests.support.services import need


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorHost]:
    need("science", "science", "numpy", "pandas", "pyarrow", "requests", "PIL")
    folder = tmp_path_factory.mktemp("executors")
    with ExecutorHost(folder, memory_bytes=4 << 30, recycle_growth_bytes=4 << 30) as host:
        yield host


@pytest.fixture(scope="module")
def executor(host: ExecutorHost) -> Executor:
    """An executor that has imported them, as all tests of the module need it."""
    return host.spawn()


def segment_of(executor: Executor, folder: Path, name: str, source: str, **fields: Any) -> Any:
    executor.frames.send(frames.load(name, "mapper", f"{IMPORTS}\n{source}"))
    answer = executor.ask(frames.map_(folder, [["k", 1]], mapper=name, reducer=None, **fields))
    (segment,) = answer["segments"]
    return segment


WHEN = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
IMPORTS = """import datetime, decimal
import numpy as np, pandas as pd, pyarrow as pa
UTC = datetime.timezone.utc
WHEN = datetime.datetime(2024, 1, 1, tzinfo=UTC)
"""
#: What a handler yields, and what arrives.
SAME = {
    "np.bool_(True)": "True",
    "np.int64(3)": "3",
    "np.uint64(2**64 - 1)": "2**64 - 1",
    "np.float32(1.5)": "1.5",
    "np.float64(2.5)": "2.5",
    "np.str_('x')": "'x'",
    "np.bytes_(b'x')": "b'x'",
    "np.array(5)": "5",
    "pd.Timestamp(WHEN)": "WHEN",
    "pd.Timestamp(WHEN) + pd.Timedelta(1, 'ns')": "WHEN",
    "pd.Series([1, 2]).sum()": "3",
    "pd.Series([1.5, 2]).mean()": "1.75",
    "pa.scalar(3)": "3",
    "pa.scalar(None)": "None",
    "pa.scalar([1, 2])": "[1, 2]",
    "pa.scalar(decimal.Decimal('1.10'))": "decimal.Decimal('1.10')",
    "pa.scalar(WHEN)": "WHEN",
    "{np.int64(1): [np.float32(1), {'a': np.bool_(False)}]}": "{1: [1.0, {'a': False}]}",
}
REFUSED = {
    "np.array([1, 2])": "a numpy.ndarray cannot be a value: give its .tolist()",
    "np.datetime64('2024-01-01')": "a numpy.datetime64 cannot be a value",
    "np.float64('nan')": "NaN is neither a key nor a value",
    "np.complex64(1)": "a complex cannot be a value",
    "pd.NaT": "NaT cannot be a value: it is no time; None can",
    "pd.NA": "a NAType cannot be a value",
    "pd.Timestamp('2024-01-01')": "a timestamp needs a time zone",
    "pd.DataFrame({'a': [1]})": "a pandas.DataFrame cannot be a value: give its .to_dict()",
    "pd.Timedelta('1s')": "a pandas.Timedelta cannot be a value",
    "pa.array([1])": "cannot be a value: give its .tolist()",
}


def test_scalars_arrive_as_python_has_them(executor: Executor, tmp_path: Path) -> None:
    pairs = "".join(f"yield {n}, {value}\n" for n, value in enumerate(SAME))
    segment = segment_of(executor, tmp_path, "same", f"yield Return()\n{pairs}")
    assert segment[0] == "returned", segment
    names: dict[str, Any] = {"datetime": datetime, "decimal": decimal, "WHEN": WHEN}
    texts = SAME.values()
    expected = [(n, eval(text, names)) for n, text in enumerate(texts)]  # noqa: S307 - of this file
    assert [(key, value, type(value)) for key, value in frames.pairs(segment[3], tmp_path)] == [
        (key, value, type(value)) for key, value in expected
    ]


@pytest.mark.parametrize(("value", "reason"), REFUSED.items())
def test_what_is_no_value_is_refused_by_type_and_pair(
    value: str, reason: str, executor: Executor, tmp_path: Path
) -> None:
    source = f"yield Return()\nyield 'a', 1\nyield 'b', {value}"
    segment = segment_of(executor, tmp_path, value, source)
    found = segment[2]
    assert (segment[0], found["kind"], found["pair"]) == ("failed", "pair", 1)
    assert reason in found["message"]


WORK = {
    "numpy": "a = np.random.default_rng(1).random((300, 300))\nresult = (a @ a).shape[0]",
    "pandas": (
        "frame = pd.DataFrame({'k': ['a', 'b', 'a'], 'n': [1, 2, 3]})\n"
        "result = frame.groupby('k')['n'].sum().to_dict()"
    ),
    "pyarrow": (
        "import pyarrow.compute as pc, pyarrow.parquet as pq\n"
        "pq.write_table(pa.table({'n': [1, 2, 3]}), 'n.parquet')\n"
        "result = pc.sum(pq.read_table('n.parquet')['n'])"
    ),
    "sqlite3": (
        "import sqlite3\nbase = sqlite3.connect('n.db')\nbase.execute('create table t (n)')\n"
        "base.executemany('insert into t values (?)', [(1,), (2,)])\nbase.commit()\n"
        "result = base.execute('select sum(n) from t').fetchone()[0]"
    ),
    "PIL": (
        "from PIL import Image\nImage.new('RGB', (8, 8)).save('p.png')\n"
        "result = Image.open('p.png').size"
    ),
    "requests": (
        "import http.server, threading, requests\n"
        "class Here(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n        self.send_response(204)\n        self.end_headers()\n"
        "    def log_message(self, *_): pass\n"
        "with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Here) as server:\n"
        "    thread = threading.Thread(target=server.serve_forever)\n    thread.start()\n"
        "    with requests.Session() as session:\n"
        "        address = f'http://127.0.0.1:{server.server_port}/'\n"
        "        result = session.get(address, timeout=60).status_code\n"
        "    server.shutdown()\n    thread.join()"
    ),
}


def test_each_package_works_in_one_executor_after_the_others(
    host: ExecutorHost, tmp_path: Path
) -> None:
    executor = host.spawn()
    found = {}
    for number, (name, body) in enumerate(WORK.items()):
        source = f"{body}\nyield Return()\nyield 'result', result"
        request = frames.of_request(f"r{number}")
        segment = segment_of(executor, tmp_path, name, source, request=request)
        assert segment[0] == "returned", segment
        ((_, found[name]),) = frames.pairs(segment[3], tmp_path)
    assert found == {
        "numpy": 300,
        "pandas": {"a": 4, "b": 2},
        "pyarrow": 6,
        "sqlite3": 3,
        "PIL": [8, 8],
        "requests": 204,
    }
