from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec

import pytest

from jobx.errors import InvalidInput, Unavailable
from jobx.handlers.authoring import checks
from jobx.handlers.languages import processor
from tests.support.cpu_time import cpu_s
from tests.support.services import absent

#: Sources of JavaScript that grow by repetition: each is refused, in time linear in it.
GROWING = [
    lambda n: "export default function" + " " * n,
    lambda n: "export default function " + " \t" * n + "x",
    lambda n: "export\n" * n,
    lambda n: "export function handler(\n" * n,
    lambda n: "/*" * n,
    lambda n: "`" + "\\`" * n,
    lambda n: "'" * n,
    lambda n: '"\\' * n,
    lambda n: "export function handler(" + "a" * n + " " * n,
    lambda n: "function handle() {}\n" * n,
]


def _is_linear(read: Callable[[str], object], small: str, eight_times: str) -> bool:
    """Tell whether one of some runs shows that reading eight times as much can be as quick."""

    def taken_s(source: str) -> float:
        def refused_or_read() -> None:
            with suppress(InvalidInput):
                read(source)

        return cpu_s(refused_or_read)

    least_s = min(taken_s(small) for _ in range(3))
    return any(taken_s(eight_times) < 24 * least_s + 0.05 for _ in range(10))


@pytest.mark.parametrize("growing", GROWING)
def test_javascript_is_refused_in_time_linear_in_it(growing: Callable[[int], str]) -> None:
    def read(source: str) -> None:
        with pytest.raises(InvalidInput):
            processor("javascript").read(source, "reducer")

    assert _is_linear(read, growing(10_000), growing(80_000))


def allow(monkeypatch: pytest.MonkeyPatch, wall_s: float) -> None:
    limits = checks.Limits(wall_s, 15, 1 << 30)
    monkeypatch.setattr(checks, "limits_of", lambda _: limits)


def test_a_module_that_takes_too_long_to_compile_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if find_spec("wasmtime") is None:
        absent("wasmtime", "needs wasmtime of the extra wasm")
    allow(monkeypatch, 1.0)
    source = f'(module {"(func)" * 150_000} (func (export "_start")))'
    with pytest.raises(InvalidInput, match="takes more than"):
        checks.check("wasm", source, "mapper")


def test_a_large_source_is_checked_outside_with_the_same_words() -> None:
    with pytest.raises(InvalidInput, match="line 2: invalid syntax"):
        checks.check("python", "#" + "x" * checks.SMALL_BYTES + "\ny =", "mapper")
    checks.check("python", "#" + "x" * checks.SMALL_BYTES + "\nyield 1", "mapper")


#: Sources that are small, and take time or memory out of all proportion when they are compiled.
EXPLOSIVE = {
    "nested finally": "".join(
        f"{' ' * depth}try: x\n{' ' * depth}finally:\n" for depth in range(19)
    )
    + " " * 19
    + "yield 1\n",
    "ways out": "def handler(x):\n for x in x:\n  try:\n"
    + "   if x:return\n" * 1800
    + "  finally:\n   "
    + "x;" * 2000
    + "x\n yield 1\n",
}
#: Sources that deepen or lengthen one thing up to the size that is compiled in the node.
MONOTONOUS = {
    "parentheses": lambda n: "(" * n,
    "closed": lambda n: "yield " + "[" * (n // 2) + "]" * (n // 2),
    "minus": lambda n: "yield " + "-" * n + "1",
    "not": lambda n: "yield " + "not " * (n // 4) + "1",
    "lambda": lambda n: "yield " + "lambda:" * (n // 7) + "1",
    "f-strings": lambda n: "yield " + "f'{" * (n // 3),
    "attributes": lambda n: "yield a" + ".a" * (n // 2),
    "calls": lambda n: "yield a" + "()" * (n // 2),
    "sum": lambda n: "yield 1" + "+1" * (n // 2),
    "digits": lambda n: "yield " + "9" * n,
    "hexadecimal": lambda n: "yield 0x" + "f" * n,
    "decorators": lambda n: "@a\n" * (n // 3) + "def handler(x): yield 1\n",
    "elif": lambda n: "if 1: yield 1\n" + "elif 1: yield 1\n" * (n // 16),
    "statements": lambda n: "x;" * (n // 2) + "yield 1",
    "pattern": lambda n: "match a:\n case " + "1|" * (n // 2) + "1: yield 1\n",
    "arguments": lambda n: "yield f(" + "*a," * (n // 3) + ")",
    "with": lambda n: "with " + "a, " * (n // 3) + "a: yield 1",
}


@pytest.mark.parametrize("source", EXPLOSIVE.values(), ids=EXPLOSIVE)
def test_what_grows_when_it_is_compiled_is_not_compiled_in_this_process(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(checks, "_ask_outside", lambda given: asked.append(given) or [])
    checks.check("python", source, "mapper")
    assert [given[0] for given in asked] == ["check"]


def test_what_grows_beyond_measure_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 2.0)
    with pytest.raises(InvalidInput, match=r"make the source smaller|be compiled"):
        deeper = "".join(f"{' ' * n}try: x\n{' ' * n}finally:\n" for n in range(19))
        checks.check("python", deeper + " " * 19 + "x;" * 400 + "yield 1\n", "mapper")


@pytest.mark.parametrize("growing", MONOTONOUS.values(), ids=MONOTONOUS)
def test_python_is_refused_or_accepted_in_time_linear_in_it(growing: Callable[[int], str]) -> None:
    """Up to the size that is compiled here; a crash would end the tests."""

    def read(source: str) -> None:
        processor("python").check(source, "mapper")

    assert _is_linear(read, growing(checks.SMALL_BYTES // 8), growing(checks.SMALL_BYTES))


def test_a_large_source_is_read_outside_as_here() -> None:
    text = "def handler(a, *, b=1): yield 1\n"
    large = text + "#" + "x" * checks.SMALL_BYTES
    assert checks.read("python", large, "mapper") == checks.read("python", text, "mapper")
    wrong = "#" + "x" * checks.SMALL_BYTES + "\ndef handler(*a): yield 1\n"
    with pytest.raises(InvalidInput, match="line 2"):
        checks.read("python", wrong, "mapper")


def test_a_check_that_runs_out_of_time_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 0.01)
    with pytest.raises(InvalidInput, match=r"takes more than 0\.01 s"):
        checks.check("python", "#" + "x" * checks.SMALL_BYTES + "\nyield 1", "mapper")


def _lacking(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _dying(*_: object, **__: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess([], 1, b"", b"ImportError: Too many open files in system")


def _killed(*_: object, **__: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess([], -9, b"", b"")


@pytest.mark.parametrize(
    ("source_type", "source", "run"),
    [
        ("python", "x = 1\n" * 10_000, _lacking),
        ("python", "x = 1\n" * 10_000, _dying),
        ("javascript", "export function handler() {}", _lacking),
        ("javascript", "export function handler() {}", _killed),
        ("executable", "#!/bin/sh\ncat\n", _lacking),
        ("executable", "#!/bin/sh\ncat\n", _killed),
    ],
)
def test_what_the_machine_lacks_for_a_check_is_no_fault_of_a_source(
    source_type: str, source: str, run: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    if source_type == "javascript" and shutil.which("node") is None:
        absent("node", "JavaScript is checked by node")
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Unavailable):
        checks.check(source_type, source, "mapper")
