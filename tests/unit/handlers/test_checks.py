from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from jobx.errors import InvalidInput
from jobx.handlers import checks
from jobx.handlers.languages import processor
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


def _duration_s(source: str) -> float:
    began = time.process_time()
    with pytest.raises(InvalidInput):
        processor("javascript").read(source, "reducer")
    return time.process_time() - began


@pytest.mark.parametrize("growing", GROWING)
def test_reading_javascript_takes_as_long_as_it_is(growing: Callable[[int], str]) -> None:
    count = 10_000
    least_s = min(_duration_s(growing(count)) for _ in range(3))
    assert min(_duration_s(growing(8 * count)) for _ in range(3)) < 24 * least_s + 0.05


def test_a_module_that_takes_too_much_to_compile_is_refused_and_costs_this_process_nothing() -> (
    None
):
    if find_spec("wasmtime") is None:
        absent("wasmtime", "needs wasmtime: pip install 'jobx[wasm]'")
    source = f'(module {"(func)" * 150_000} (func (export "_start")))'
    with pytest.raises(InvalidInput):
        checks.check("wasm", source, "mapper")


def test_a_large_source_is_checked_outside_with_the_same_words() -> None:
    with pytest.raises(InvalidInput, match="line 2: invalid syntax"):
        checks.check("python", "#" + "x" * checks.SMALL_BYTES + "\ny =", "mapper")
    checks.check("python", "#" + "x" * checks.SMALL_BYTES + "\nyield 1", "mapper")


def test_a_check_that_runs_out_of_time_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LIMIT_S", 0.01)
    with pytest.raises(InvalidInput, match=r"takes more than 0\.01 s"):
        checks.check("python", "#" + "x" * checks.SMALL_BYTES + "\nyield 1", "mapper")
