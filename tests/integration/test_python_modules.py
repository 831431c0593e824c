"""A Python handler behaves as a module of a program does: what the standard library looks for in
one is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support import frames
from tests.support.executors import Executor, ExecutorHost


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorHost]:
    with ExecutorHost(tmp_path_factory.mktemp("executors"), memory_bytes=0) as host:
        yield host


@pytest.fixture
def executor(host: ExecutorHost) -> Executor:
    return host.spawn()


def run(executor: Executor, folder: Path, source: str, name: str = "m", **fields: Any) -> Any:
    """Run a mapper once and return its segment."""
    executor.frames.send(frames.load(name, "mapper", source, **fields))
    answer = executor.ask(frames.map_(folder, [["k", 1]], mapper=name, reducer=None))
    (segment,) = answer["segments"]
    return segment


def yielded(executor: Executor, folder: Path, source: str, name: str = "m") -> list[Any]:
    segment = run(executor, folder, source, name)
    assert segment[0] == "returned", segment
    return frames.pairs(segment[3], folder)


def failure(executor: Executor, folder: Path, source: str) -> dict[str, Any]:
    segment = run(executor, folder, source)
    assert segment[0] == "failed", segment
    found: dict[str, Any] = segment[2]
    return found


def printed(executor: Executor, folder: Path, source: str) -> str:
    """Return what a mapper wrote."""
    segment = run(executor, folder, f"yield Return()\n{dedent(source)}\nyield 1, 1\n")
    assert segment[0] == "returned", segment
    (notes,) = segment[-1].values() if isinstance(segment[-1], dict) else ({},)
    output: str = notes.get("output", "")
    return output


POSTPONED = "from __future__ import annotations\n"
#: Top level of a module, and what must hold in its handler.
MODULES = {
    "a dataclass": (
        POSTPONED
        + "from dataclasses import dataclass, field, asdict\nfrom typing import ClassVar\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class P:\n    x: int\n    y: list[int] = field(default_factory=list)\n"
        "    z: ClassVar[int] = 3",
        "asdict(P(x=1)) == {'x': 1, 'y': []}",
    ),
    "type hints": (
        POSTPONED + "import typing\nclass A: x: B\nclass B: y: typing.Optional[A]\n"
        "def f(a: A) -> B: ...",
        "typing.get_type_hints(A) == {'x': B} and typing.get_type_hints(f)['return'] is B",
    ),
    "source of a function": (
        "import inspect\ndef f(x):\n    return x",
        "inspect.getsource(f) == 'def f(x):\\n    return x\\n'",
    ),
    "source of a class": ("import inspect\nclass C:\n    x = 1", "'x = 1' in inspect.getsource(C)"),
    "source of the module": (
        "import inspect, sys",
        "inspect.getsource(sys.modules[__name__]).startswith('import inspect')",
    ),
    "module of a class": ("import inspect\nclass C: ...", "inspect.getmodule(C).C is C"),
    "its file": ("from pathlib import Path", "'pathlib' in Path(__file__).read_text()"),
    "its text": ("'''What it is.'''", "__doc__ == 'What it is.'"),
    "its namespace": ("import sys\nX = 3", "sys.modules[__name__].__dict__ is globals()"),
    "itself": ("import importlib, sys", "importlib.import_module(__name__).__name__ == __name__"),
    "pickled classes": (
        "import enum, pickle, copy, typing, collections\nclass C(enum.Enum):\n    R = 1\n"
        "class N(typing.NamedTuple):\n    a: int\nQ = collections.namedtuple('Q', 'a b')\n"
        "class O:\n    def f(self): return 1",
        "pickle.loads(pickle.dumps((C.R, N(1), Q(1, 2)))) == (C.R, N(1), Q(1, 2))"
        " and pickle.loads(pickle.dumps(O())).f() == 1 and copy.deepcopy(C.R) is C.R",
    ),
    "single dispatch": (
        POSTPONED + "import functools\n@functools.singledispatch\ndef f(x): return 'any'\n"
        "@f.register\ndef _(x: int): return 'int'",
        "f(1) == 'int'",
    ),
    "protocols": (
        "import abc, typing\n@typing.runtime_checkable\nclass P(typing.Protocol):\n"
        "    def f(self) -> int: ...\nclass A(abc.ABC):\n    @abc.abstractmethod\n"
        "    def f(self): ...\nclass B(A):\n    def f(self): return 1",
        "isinstance(B(), P) and B().f() == 1",
    ),
    "typed maps": ("import typing\nclass T(typing.TypedDict):\n    a: 'int'", "T(a=1) == {'a': 1}"),
    "asyncio": (
        "import asyncio, contextvars\nV = contextvars.ContextVar('v')\nasync def f(n):\n"
        "    V.set(n)\n    await asyncio.sleep(0)\n    return V.get()\nasync def all_of():\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        tasks = [group.create_task(f(n)) for n in range(3)]\n"
        "    return [task.result() for task in tasks]",
        "asyncio.run(all_of()) == [0, 1, 2]",
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def work():\n    with ThreadPoolExecutor(2) as pool:\n"
        "        return list(pool.map(str, range(3)))",
        "work() == ['0', '1', '2']",
    ),
    "forked processes": (
        "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "def square(n): return n * n\ndef work():\n"
        "    fork = multiprocessing.get_context('fork')\n"
        "    with ProcessPoolExecutor(2, mp_context=fork) as pool:\n"
        "        return list(pool.map(square, range(3)))",
        "work() == [0, 1, 4]",
    ),
    "new processes": (
        "import multiprocessing\ndef square(n): return n * n\ndef work():\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        return pool.map(square, range(3))",
        "work() == [0, 1, 4]",
    ),
    "its own tests": (
        "import doctest, sys\ndef f():\n    '''\n    >>> f()\n    1\n    '''\n    return 1",
        "doctest.testmod(sys.modules[__name__])[:] == (0, 1)",
    ),
    "coverage": (
        "import coverage\ndef f(x):\n    if x:\n        return 1\n    return 2\n"
        "def work():\n    run = coverage.Coverage(data_file=None, config_file=False)\n"
        "    run.start()\n    f(1)\n    run.stop()\n    return run.analysis(__file__)[2]",
        "5 in work() and 4 not in work()",
    ),
    "profiles": (
        "import cProfile, timeit, tracemalloc\nP = cProfile.Profile()",
        "P.runcall(sum, [1, 2]) == 3 and timeit.timeit('1', number=1) < 60",
    ),
}


@pytest.mark.parametrize(("top", "holds"), MODULES.values(), ids=MODULES)
def test_a_handler_is_a_module(top: str, holds: str, executor: Executor, tmp_path: Path) -> None:
    source = f"{top}\ndef handler(arguments):\n    yield Return()\n    yield 'holds', {holds}\n"
    assert yielded(executor, tmp_path, source) == [("holds", True)]


def test_bare_statements_have_a_module_as_well(executor: Executor, tmp_path: Path) -> None:
    source = POSTPONED + (
        "import sys\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
        "yield Return()\nyield P(1).x, sys.modules[__name__].__name__"
    )
    assert yielded(executor, tmp_path, source) == [(1, "handler(m)")]


def test_versions_of_a_handler_are_modules_of_their_own(executor: Executor, tmp_path: Path) -> None:
    source = (
        "import pickle, sys\nclass C: n = {n}\ndef handler(arguments):\n    yield Return()\n"
        "    yield pickle.loads(pickle.dumps(C())).n, C is sys.modules[__name__].C"
    )
    for n in (1, 2):
        load = frames.load("", "mapper", source.format(n=n))
        executor.frames.send(replace(load, version=f"v{n}", name="of.one-name"))
    for n in (1, 2, 1):
        work = frames.map_(tmp_path, [["k", 1]], mapper=f"v{n}", reducer=None)
        (segment,) = executor.ask(work)["segments"]
        assert frames.pairs(segment[3], tmp_path) == [(n, True)]


def test_a_module_that_fails_leaves(executor: Executor, tmp_path: Path) -> None:
    source = "import sys\n1 / 0\ndef handler(arguments): yield"
    assert failure(executor, tmp_path, source)["type"] == "ZeroDivisionError"
    source = "import sys\nyield Return()\nyield 'there', 'handler(m)' in sys.modules"
    assert yielded(executor, tmp_path, source, "other") == [("there", False)]


#: What a handler writes, and what of it is captured.
WRITTEN = {
    "reconfigure": (
        "import sys\nsys.stdout.reconfigure(encoding='utf-8', errors='replace')\nprint('ä\\udc80')",
        "ä?\n",
    ),
    "without write-through": (
        "import sys\nsys.stdout.reconfigure(write_through=False)\nsys.stdout.write('kept')",
        "kept",
    ),
    "buffer": ("import sys\nsys.stdout.buffer.write(b'bytes')\nprint(' text')", "bytes text\n"),
    "raw": ("import sys\nsys.stdout.buffer.raw.write(b'bytes')", "bytes"),
    "wrapped": (
        "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\n"
        "print('wrapped')",
        "wrapped\n",
    ),
    "detached": (
        "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='latin-1')\n"
        "print('e')",
        "e\n",
    ),
    "what it is": (
        "import io, sys\nout = sys.stdout\nprint(isinstance(out, io.TextIOWrapper), out.fileno(),"
        " out.isatty(), out.name, out.mode, out.encoding, out.closed, out.writable())",
        "True 1 False <stdout> w utf-8 False True\n",
    ),
    "logging": (
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout, level='INFO',"
        " format='%(levelname)s %(name)s %(lineno)d %(message)s', force=True)\n"
        "logging.getLogger('a').info('said')",
        "INFO a 4 said\n",
    ),
    "warnings": (
        "import logging, sys, warnings\n"
        "logging.basicConfig(stream=sys.stdout, format='%(name)s %(message)s', force=True)\n"
        "logging.captureWarnings(True)\n"
        "warnings.formatwarning = lambda message, *_: f'{message}'\nwarnings.warn('old')",
        "py.warnings old\n",
    ),
    "print_exc": (
        "import sys, traceback\ntry: 1 / 0\nexcept ArithmeticError:"
        " traceback.print_exc(limit=0, file=sys.stdout)",
        "ZeroDivisionError: division by zero\n",
    ),
    "redirected": (
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as text:\n"
        "    print('in')\nprint('out', text.getvalue())",
        "out in\n\n",
    ),
    "child": ("import subprocess\nsubprocess.run(['echo', 'child'])", "child\n"),
    "no input": ("import sys\nprint(repr(sys.stdin.read()))", "''\n"),
    "dunder": ("import sys\nsys.__stdout__.write('dunder')", "dunder"),
    "closed": ("import sys\nprint('said')\nsys.stdout.close()\nsys.stderr.close()", "said\n"),
    "in order": (
        "import os, sys\nprint(1)\nPRINT(2)\nsys.stderr.write('3\\n')\nprint(4)",
        "1\n2\n3\n4\n",
    ),
}


@pytest.mark.parametrize(("source", "captured"), WRITTEN.values(), ids=WRITTEN)
def test_the_streams_are_those_of_a_program(
    source: str, captured: str, executor: Executor, tmp_path: Path
) -> None:
    assert printed(executor, tmp_path, source) == captured


@pytest.mark.parametrize("source", [source for source, _ in WRITTEN.values()], ids=WRITTEN)
def test_the_next_work_finds_the_streams_as_they_were(
    source: str, executor: Executor, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    printed(executor, tmp_path / "a", source)
    probe = (
        "import sys\nout = sys.stdout\nyield Return()\n"
        "yield (out.encoding, out.errors, out.write_through, out.closed, sys.stderr.closed,"
        " sys.stdin.closed, sys.__stdout__ is out), 1"
    )
    found = ("utf-8", "backslashreplace", True, False, False, False, True)
    assert yielded(executor, tmp_path, probe, "probe") == [(found, 1)]


GROUP = "raise ExceptionGroup('many', [ValueError('one'), ExceptionGroup('two', [OSError('in')])])"
TOLD = {
    "cause": (
        "try:\n    {}['key']\nexcept KeyError as error:\n    raise ValueError('outer') from error",
        ["in handler\n    {}['key']", "KeyError: 'key'", "direct cause of the following"],
    ),
    "context": (
        "try:\n    1 / 0\nexcept ArithmeticError:\n    raise ValueError('outer')",
        ["ZeroDivisionError: division by zero", "During handling of the above"],
    ),
    "context of a cause": (
        "try:\n    try:\n        int('x')\n    except ValueError:\n        {}['key']\n"
        "except KeyError as error:\n    raise OSError('outer') from error",
        ["ValueError: invalid literal", "KeyError: 'key'", "direct cause of the following"],
    ),
    "group": (GROUP, ["- 1 -", "ValueError: one", "ExceptionGroup: two", "OSError: in"]),
    "task group": (
        "import asyncio\nasync def fail(): raise LookupError('task')\nasync def work():\n"
        "    async with asyncio.TaskGroup() as group: group.create_task(fail())\n"
        "asyncio.run(work())",
        ["LookupError: task", "in fail"],
    ),
    "notes of a cause": (
        "try:\n    error = KeyError('k')\n    error.add_note('noted')\n    raise error\n"
        "except KeyError as error:\n    raise ValueError('outer') from error",
        ["KeyError: 'k'\nnoted\n"],
    ),
}


@pytest.mark.parametrize(("body", "parts"), TOLD.values(), ids=TOLD)
def test_a_traceback_tells_the_whole_of_an_exception(
    body: str, parts: list[str], executor: Executor, tmp_path: Path
) -> None:
    traceback = failure(executor, tmp_path, f"yield Return()\n{body}")["traceback"]
    assert [part for part in parts if part not in traceback] == []


def test_notes_follow_the_message(executor: Executor, tmp_path: Path) -> None:
    body = "yield Return()\nerror = ValueError('said')\nerror.add_note('noted')\nraise error"
    assert failure(executor, tmp_path, body)["message"] == "said\nnoted"


def test_a_suppressed_context_is_not_told(executor: Executor, tmp_path: Path) -> None:
    body = "try:\n    1 / 0\nexcept ArithmeticError:\n    raise ValueError('outer') from None"
    traceback = failure(executor, tmp_path, f"yield Return()\n{body}")["traceback"]
    assert "ZeroDivisionError" not in traceback


def test_a_breakpoint_without_a_terminal_says_where_there_is_one(
    executor: Executor, tmp_path: Path
) -> None:
    found = failure(executor, tmp_path, "yield Return()\nbreakpoint()\nyield 1, 1")
    assert "jobx handler test --pdb" in found["message"]


#: What the top level of a module sets, and what must hold in each request.
SET_ONCE = {
    "logging": (
        "import logging, sys\nlogging.basicConfig(level='INFO', stream=sys.stdout)",
        "logging.root.level == logging.INFO and len(logging.root.handlers) == 1",
    ),
    "warnings": (
        "import warnings\nwarnings.simplefilter('error')",
        "warnings.filters[0][0] == 'error'",
    ),
    "recursion limit": (
        "import sys\nsys.setrecursionlimit(4321)",
        "sys.getrecursionlimit() == 4321",
    ),
    "path": ("import sys\nsys.path.append('/set/once')", "'/set/once' in sys.path"),
    "environment": (
        "import os\nos.environ['SET_ONCE'] = '1'",
        "os.environ.get('SET_ONCE') == '1'",
    ),
}


@pytest.mark.parametrize(("top", "holds"), SET_ONCE.values(), ids=SET_ONCE)
def test_what_the_top_level_sets_holds_for_all_requests(
    top: str, holds: str, executor: Executor, tmp_path: Path
) -> None:
    source = f"{top}\ndef handler(arguments):\n    yield Return()\n    yield 'holds', {holds}\n"
    executor.frames.send(frames.load("m", "mapper", source))
    for n in range(3):
        request = frames.of_request(f"r{n}")
        work = frames.map_(tmp_path, [["k", 1]], mapper="m", reducer=None, request=request)
        (segment,) = executor.ask(work)["segments"]
        assert frames.pairs(segment[3], tmp_path) == [("holds", True)], n


def test_what_ran_before_a_module_is_loaded_does_not_hold_with_what_its_top_level_sets(
    executor: Executor, tmp_path: Path
) -> None:
    left = "import sys, warnings\nsys.path.insert(0, '/left')\nwarnings.simplefilter('error')\n"
    once = "import sys, warnings\nsys.path.append('/once')\nwarnings.simplefilter('once')\n"
    look = "yield 1, ['/left' in sys.path, '/once' in sys.path, warnings.filters[0][0]]\n"
    executor.frames.send(frames.load("m", "mapper", f"{left}yield Return()\nyield 1, 1\n"))
    reducer = f"{once}def handler(results):\n    yield 1, 1\n"
    executor.frames.send(frames.load("r", "reducer", reducer))
    executor.ask(frames.map_(tmp_path, [["k", 1]], reducer="r"))
    source = f"import sys, warnings\nyield Return()\n{look}"
    executor.frames.send(frames.load("look", "mapper", source))
    fields = {"mapper": "look", "reducer": None, "request": frames.of_request("r2")}
    (segment,) = executor.ask(frames.map_(tmp_path, [["k", 1]], **fields))["segments"]
    assert frames.pairs(segment[3], tmp_path) == [(1, [False, True, "once"])]
