"""WebAssembly of the compilers that authors use: each program is stored and run."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobx.testing import run_handler
from jobx.tools.cli import main
from tests.support.services import absent, need

#: Each program writes how often "zo" is in what it reads: the line of its call.
C = r"""
#include <stdio.h>
int main(void) {
    int before = 0, now, found = 0;
    while ((now = getchar()) != EOF) { found += before == 'z' && now == 'o'; before = now; }
    printf("{\"return\":true}\n{\"pair\":[\"zo\",%d]}\n{\"end\":true}\n", found);
    return 0;
}
"""
RUST = r"""
use std::io::{self, Read};
fn main() {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).unwrap();
    let found = text.matches("zo").count();
    println!("{{\"return\":true}}\n{{\"pair\":[\"zo\",{found}]}}\n{{\"end\":true}}");
}
"""
GO = r"""
package main

import "os"

func main() {
	body := make([]byte, 65536)
	size, _ := os.Stdin.Read(body)
	found := byte('0')
	for at := 1; at < size; at++ {
		if body[at-1] == 'z' && body[at] == 'o' {
			found++
		}
	}
	os.Stdout.WriteString("{\"return\":true}\n{\"pair\":[\"zo\"," + string(found) + "]}\n")
	os.Stdout.WriteString("{\"end\":true}\n")
}
"""
ASSEMBLY_SCRIPT = r"""
const buffer = new ArrayBuffer(65536);
const size = process.stdin.read(buffer);
const text = String.UTF8.decode(buffer.slice(0, size));
const found = text.split("zo").length - 1;
process.stdout.write('{"return":true}\n{"pair":["zo",' + found.toString() + ']}\n{"end":true}\n');
"""
#: What is always there: a module that counts nothing, in the compilers' own binary form.
WAT = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "{\\22return\\22:true}\\n{\\22pair\\22:[\\22zo\\22,2]}\\n")
  (data (i32.const 42) "{\\22end\\22:true}\\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 8))
    (i32.store (i32.const 4) (i32.const 47))
    (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 60000)))))
"""
HEADER = ";; Counts.\n;; **\n;; handler_type: mapper\n;; argument_spec:\n;; - [text, str]\n"
MAX_S = 240


def made(folder: Path, file: str, source: str, *command: str, **variables: str) -> bytes:
    """Compile a source to ``out.wasm``, or skip the test where that cannot be done."""
    (folder / file).write_text(source)
    if shutil.which(command[0]) is None:
        absent(f"{command[0]}-wasm", f"needs {command[0]}")
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, timeout=MAX_S, check=False
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip()[-300:]
        absent(f"{command[0]}-wasm", f"{command[0]} makes no WebAssembly here: {last}")
    return (folder / "out.wasm").read_bytes()


def of_c(folder: Path) -> bytes:
    compiler = ["zig", "cc", "-target"] if shutil.which("zig") else ["clang", "-target"]
    return made(folder, "m.c", C, *compiler, "wasm32-wasi", "-O1", "-o", "out.wasm", "m.c")


def of_rust(folder: Path) -> bytes:
    flags = ("--target", "wasm32-wasip1", "-C", "strip=symbols", "-o", "out.wasm")
    return made(folder, "m.rs", RUST, "rustc", *flags, "m.rs")


def of_go(folder: Path) -> bytes:
    (folder / "go.mod").write_text("module m\n\ngo 1.21\n")
    flags = ("-ldflags=-s -w", "-o", "out.wasm", ".")
    return made(folder, "m.go", GO, "go", "build", *flags, GOOS="wasip1", GOARCH="wasm")


def of_tinygo(folder: Path) -> bytes:
    (folder / "go.mod").write_text("module m\n\ngo 1.21\n")
    flags = ("-target", "wasi", "-no-debug", "-o", "out.wasm", ".")
    return made(folder, "m.go", GO, "tinygo", "build", *flags)


def of_assembly_script(folder: Path) -> bytes:
    (folder / "node_modules").symlink_to(Path(shutil.which("asc") or "").parent.parent)
    shim = "node_modules/@assemblyscript/wasi-shim/asconfig.json"  # is looked for from here
    flags = ("--config", shim, "-o", "out.wasm")
    return made(folder, "m.ts", ASSEMBLY_SCRIPT, "asc", "m.ts", *flags)


def of_wat(folder: Path) -> bytes:
    wasmtime = pytest.importorskip("wasmtime")
    return bytes(wasmtime.wat2wasm(WAT))


COMPILERS: dict[str, Callable[[Path], bytes]] = {
    "wat": of_wat,
    "c": of_c,
    "rust": of_rust,
    "go": of_go,
    "tinygo": of_tinygo,
    "assemblyscript": of_assembly_script,
}


@pytest.mark.parametrize("compiled", COMPILERS.values(), ids=COMPILERS)
def test_a_program_of_a_compiler_runs(compiled: Callable[[Path], bytes], tmp_path: Path) -> None:
    need("wasmtime", "wasm", "wasmtime")
    file = tmp_path / "count.wasm"
    file.write_text(HEADER + base64.encodebytes(compiled(tmp_path)).decode())
    assert run_handler(file, arguments={"text": "zo and zo"}).pairs == [("zo", 2)]


def test_a_binary_is_stored_from_its_file(tmp_path: Path) -> None:
    need("wasmtime", "wasm", "wasmtime")
    (tmp_path / "m.wasm").write_bytes(of_wat(tmp_path))
    jobx = ("--data", str(tmp_path / "data"))

    def run(*words: str) -> str:
        result = CliRunner().invoke(main, [*words, *jobx])
        assert result.exit_code == 0, result.output
        return result.output

    run("workflow", "create", "w", "d")
    described = ("w", "count", "Counts.", "wasm", "mapper")
    run("handler", "create", *described, "--file", str(tmp_path / "m.wasm"))
    assert "AGFzbQ" in run("handler", "get", "w", "count")


def test_a_bare_binary_in_a_folder_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "m.wasm").write_bytes(b"\0asm\x01\0\0\0\xff")
    result = CliRunner().invoke(main, ["handler", "test", str(tmp_path / "m.wasm")])
    assert "jobx handler create --file" in result.output
