from __future__ import annotations

import base64
import ctypes
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import InvalidInput
from jobx.handlers.languages import processor, wasm
from jobx.handlers.languages.guests import Guests
from tests.support import frames
from tests.support.guests import failed, hosting, pairs, run
from tests.support.languages import WASM, wat

WASI = "wasi_snapshot_preview1"
#: How a program fails that came to its end and said nothing.
SILENT = "the program ended without a line of the protocol"


@pytest.fixture(autouse=True)
def needed() -> None:
    WASM.need()


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Guests]:
    with hosting(tmp_path) as made:
        yield made


def one(guests: Guests, source: str, *items: Any, **fields: Any) -> tuple[Any, Any]:
    made = frames.state(
        Path(guests.folder), frames.load("m", "mapper", source, source_type="wasm"), guests=guests
    )
    return made, run(made, *items, reducer=None, **fields)[0]


def start(body: str) -> str:
    return f'(module (memory (export "memory") 1) (func (export "_start") {body}))'


def test_a_module_may_be_base64_after_its_header(guests: Guests) -> None:
    import wasmtime

    body = base64.encodebytes(wasmtime.wat2wasm(WASM.echo)).decode()
    source = f";; Echo.\n;; **\n;; handler_type: mapper\n\n{body}"
    processor("wasm").check(source, "mapper")
    made, segment = one(guests, source, [1, 2])
    assert pairs(made, segment) == [(1, 2)]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(module", "is not a module"),
        ("AAAA", "is not a module"),
        ("!", "is not a module"),
        ("(module)", "must be a WASI program"),
        ('(module (memory (export "_start") 1))', "must be a WASI program"),
        ('(module (func (export "_start") (param i32)))', "must be a WASI program"),
        (f'(module (import "{WASI}" "no" (func)) (func (export "_start")))', "not been defined"),
        (f'(module (import "{WASI}" "fd_write" (func)) (func (export "_start")))', "incompatible"),
        ('(module (import "env" "f" (func)) (func (export "_start")))', "only wasi_snapshot"),
    ],
)
def test_a_check_refuses_what_cannot_run(source: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        processor("wasm").check(source, "mapper")


def test_fuel_ends_a_program_that_burns_too_much(tmp_path: Path) -> None:
    with hosting(tmp_path, wasm_fuel=1000) as guests:
        _, segment = one(guests, WASM.spin, [1, 1])
    assert (failed(segment)["kind"], failed(segment)["type"]) == ("limit", "OutOfFuel")


def test_memory_does_not_grow_over_its_limit(tmp_path: Path) -> None:
    grow = start("(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))")
    with hosting(tmp_path, wasm_memory_bytes=1 << 20) as guests:
        _, segment = one(guests, grow, [1, 1])
    assert failed(segment)["type"] == "Trap"


def test_a_trap_names_the_function(guests: Guests) -> None:
    source = (
        '(module (memory (export "memory") 1) (func $deep unreachable)'
        ' (func (export "_start") call $deep))'
    )
    assert "in deep" in failed(one(guests, source, [1, 1])[1])["message"]


def test_a_program_has_no_files(guests: Guests, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    source = """(module
      (import "wasi_snapshot_preview1" "path_open" (func $open
        (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 64) "secret")
      (func (export "_start") (local $fd i32)
        (local.set $fd (i32.const 3))
        (loop $next
          (if (i32.eqz (call $open (local.get $fd) (i32.const 0) (i32.const 64) (i32.const 6)
              (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))
            (then unreachable))
          (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $fd) (i32.const 16))))))"""
    assert failed(one(guests, source, [1, 1])[1])["message"].startswith(SILENT)


def test_each_call_starts_anew(guests: Guests) -> None:
    source = '(module (memory (export "memory") 1) (func (export "_start")' + (
        " (if (i32.load (i32.const 0)) (then unreachable))"
        " (i32.store (i32.const 0) (i32.const 1))))"
    )
    made = frames.state(
        Path(guests.folder), frames.load("m", "mapper", source, source_type="wasm"), guests=guests
    )
    for segment in run(made, [1, 1], [2, 2], reducer=None):
        assert failed(segment)["message"].startswith(SILENT)


@pytest.mark.parametrize("line", ['{"ask":["S_GET","a"]}', '{"ask":["PRINT","a"]}'])
def test_a_module_has_no_replies(guests: Guests, line: str) -> None:
    _, segment = one(guests, wat('{"return":true}\n', f"{line}\n"), [1, 1])
    failure = failed(segment)
    assert failure["kind"] == "protocol"
    assert "has no reply here" in failure["message"]


@pytest.mark.parametrize(
    ("code", "told"), [(3, "code 3"), (126, "a code that is not 0 to 125"), (-1, "a code that is")]
)
def test_an_exit_code_is_a_failure(guests: Guests, code: int, told: str) -> None:
    source = f"""(module
      (import "{WASI}" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "_start") (call $exit (i32.const {code}))))"""
    failure = failed(one(guests, source, [1, 1])[1])
    assert failure["type"] == "ProgramFailed"
    assert failure["message"].startswith(f"the program ended with {told}")


def test_a_line_has_a_limit(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm, "MAX_LINE_BYTES", 16)
    lines = ['{"return":true}\n', "x" * 16 + "\n", "x" * 17]
    assert one(guests, wat(*lines[:2]), [1, 1])[1][0] == "returned"
    assert "longer than 16 bytes" in failed(one(guests, wat(*lines), [1, 1])[1])["message"]


def test_memory_that_grows_a_little_is_not_copied() -> None:
    import wasmtime

    store = wasmtime.Store(wasm._engine())
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None)))
    before = ctypes.addressof(memory.data_ptr(store).contents)
    memory.grow(store, 16)
    assert ctypes.addressof(memory.data_ptr(store).contents) == before


def test_wasm_is_refused_by_name_where_there_is_no_wasmtime(
    guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(InvalidInput, match=r"wasmtime is not installed .* 'jobx-runtime\[wasm\]'"):
        processor("wasm").check(WASM.echo, "mapper")
    failure = failed(one(guests, wat("x"), [1, 1])[1])
    assert (failure["kind"], failure["type"]) == ("capability", "RuntimeMissing")


LACKS = (errno.ENOSPC, errno.EMFILE, errno.EIO, errno.ENOMEM)


def _failure_without(
    guests: Guests, monkeypatch: pytest.MonkeyPatch, where: str, lack: int
) -> tuple[dict[str, Any], Any]:
    """Return the failure of a call for which the system refuses a file."""
    made, _ = one(guests, WASM.echo, [1, 2])
    given = [1, 2] if where == "memfd_create" else [1, "x" * 2_000_000]

    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(lack, os.strerror(lack))

    with monkeypatch.context() as patch:
        patch.setattr(os, where, refuse)
        return failed(run(made, given, reducer=None)[0]), made


@pytest.mark.parametrize(
    ("where", "lack"),
    [
        *(("memfd_create", lack) for lack in LACKS),
        *(("open", lack) for lack in LACKS if lack != errno.EMFILE),
    ],
)
def test_a_call_that_cannot_be_written_is_no_failure_of_the_author(
    guests: Guests, monkeypatch: pytest.MonkeyPatch, where: str, lack: int
) -> None:
    found, made = _failure_without(guests, monkeypatch, where, lack)
    assert found["kind"] == ("full" if lack == errno.ENOSPC else "disk")
    assert pairs(made, run(made, [1, 2], reducer=None)[0]) == [(1, 2)]


def test_an_executor_that_can_open_nothing_leaves(
    guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, made = _failure_without(guests, monkeypatch, "open", errno.EMFILE)
    assert (found["kind"], found["type"]) == ("crash", "ExecutorAtLimit")
    assert made.is_spoilt


def test_a_file_that_takes_no_more_output_is_no_failure_of_the_author(
    guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = one(guests, WASM.echo, [1, 2])

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", refuse)
    assert failed(run(made, [1, 2], reducer=None)[0])["kind"] == "full"
