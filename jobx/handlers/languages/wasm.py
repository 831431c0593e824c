"""Handlers in WebAssembly: WASI programs that speak the line protocol, in a sandbox.

The source is text: WAT, or a module in base64, after a header of ``;;`` lines. A program has its
standard descriptors and nothing else: no files, no network, no clock but the monotonic one.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from jobx.errors import InvalidInput, StoreUnavailable
from jobx.handlers.failures import GuestFailed, Misuse, over_time
from jobx.handlers.languages import lines
from jobx.handlers.languages.answer import ProgramAnswer
from jobx.handlers.languages.base import Checked, Grouped, Loaded, without_author_code
from jobx.handlers.languages.exchange import MAX_LINE_BYTES
from jobx.handlers.languages.guests import Guests
from jobx.handlers.scope import arguments as args
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import filename, show_source
from jobx.system.extras import install

if TYPE_CHECKING:
    import wasmtime

_WASI: Final = "wasi_snapshot_preview1"
#: What a program may write: it is kept until the program has ended, in memory up to a size.
_MAX_OUTPUT_BYTES: Final = 1 << 30
_HELD_BYTES: Final = 1 << 20
_MAX_TABLE: Final = 1 << 20
#: What wasmtime says of exit codes that it does not tell.
_HIGH_CODE: Final = "exit with invalid exit status"
#: An executor has a limit on address space, so little more is reserved than is used.
_GUARD_BYTES: Final = 1 << 16
#: But where memory grows, all of it is copied, unless there is room behind it.
_GROWTH_BYTES: Final = 64 << 20


class Wasm:
    """The processor for WebAssembly."""

    endings = (".wat", ".wasm")

    def read(self, source_code: str, handler_type: str) -> Checked:
        """Tell nothing: only a declared ``per_key`` says that keys are treated alone."""
        return Checked()

    def check(self, source_code: str, handler_type: str) -> Checked:
        """Compile the module, and see that it needs nothing but WASI.

        Raises:
            InvalidInput: It is wrong, or wasmtime is not installed.
        """
        try:
            engine = _engine()
        except ImportError as error:
            reason = f"wasmtime is not installed on this machine: {install('wasm')}"
            raise InvalidInput("source_type", "wasm", reason) from error
        _check_imports(engine, _compile(engine, source_code))
        return Checked()

    @without_author_code
    def load(self, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        """Compile the module.

        Raises:
            InvalidInput: It is wrong.
            GuestFailed: wasmtime is not installed (kind ``capability``).
        """
        try:
            engine = guests.keep(_engine_of)
        except ImportError as error:
            reason = "wasmtime is not installed on this node"
            raise GuestFailed("capability", "RuntimeMissing", reason) from error
        name, per_key = handler["name"], handler.get("per_key", False)
        if _is_text(handler["source_code"]):
            show_source(filename(name), handler["source_code"])
        program = _Program(engine, _compile(engine, handler["source_code"]), guests, scope)
        if handler["handler_type"] != "mapper":
            return Loaded(
                name, per_key, lambda given: program.run(lines.reduce_call(scope, given), given)
            )
        spec = handler.get("argument_spec") or ()

        def mapper(given: Arguments) -> Iterable[object]:
            return program.run(lines.map_call(scope, args.cast(given, spec) if spec else given))

        return Loaded(name, per_key, mapper)


def _engine() -> wasmtime.Engine:
    import wasmtime  # noqa: PLC0415 - an optional package, and a large one

    config = wasmtime.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.memory_reservation = 0
    config.memory_guard_size = _GUARD_BYTES
    config.memory_reservation_for_growth = _GROWTH_BYTES
    return wasmtime.Engine(config)


def _engine_of(guests: Guests) -> wasmtime.Engine:
    return _engine()


def _compile(engine: wasmtime.Engine, source_code: str) -> wasmtime.Module:
    import wasmtime  # noqa: PLC0415 - see above

    try:
        module = wasmtime.Module(engine, _binary(source_code))
    except (wasmtime.WasmtimeError, binascii.Error, ValueError) as error:
        reason = f"is not a module: {error}"
        raise InvalidInput("handler source", repr(source_code[-40:]), reason) from error
    for needed in module.imports:
        if needed.module != _WASI:
            name = f"{needed.module}.{needed.name}"
            raise InvalidInput("handler source, imports", name, f"only {_WASI} is offered")
    start = next((one.type for one in module.exports if one.name == "_start"), None)
    if not isinstance(start, wasmtime.FuncType) or start.params:
        reason = "must be a WASI program: it starts in _start, a function without parameters"
        raise InvalidInput("handler source, exports", "no such _start", reason)
    return module


def _check_imports(engine: wasmtime.Engine, module: wasmtime.Module) -> None:
    """See that WASI has all that a module imports, as it imports it.

    Raises:
        InvalidInput: It has not.
    """
    import wasmtime  # noqa: PLC0415 - see above

    try:
        _linker(engine).instantiate_pre(module)
    except wasmtime.WasmtimeError as error:
        raise InvalidInput("handler source, imports", _WASI, str(error)) from error


def _linker(engine: wasmtime.Engine) -> wasmtime.Linker:
    import wasmtime  # noqa: PLC0415 - see above

    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    return linker


def _binary(source_code: str) -> bytes | str:
    """Return what a source holds after its header: WAT as it is, else bytes."""
    if _is_text(source_code):
        return source_code  # whole, so that faults name its lines
    lines_of_body = (line for line in source_code.split("\n") if not line.startswith(";;"))
    return base64.b64decode("".join("".join(lines_of_body).split()), validate=True)


def _is_text(source_code: str) -> bool:
    """Tell whether a source is WAT."""
    rest = (line.strip() for line in source_code.split("\n") if not line.startswith(";;"))
    return next(filter(None, rest), "").startswith("(")


@dataclass(frozen=True, slots=True)
class _Program:
    """A compiled module. Each call has an instance of its own, so calls cannot see each other."""

    engine: wasmtime.Engine
    module: wasmtime.Module
    guests: Guests
    scope: Scope

    def run(self, call: Iterable[bytes], grouped: Grouped | None = None) -> Iterator[object]:
        """Run the program to its end, then yield what it wrote."""
        folder = self.guests.folder
        with tempfile.SpooledTemporaryFile(_HELD_BYTES, dir=folder) as file:
            output = _Output(file)
            with _kept(call, folder) as stdin:
                self._start(stdin, output)
            file.seek(0)
            written = _lines(file)
            answer = ProgramAnswer(self.scope, grouped, hears=False)
            yield from answer.yielded(written)
            answer.check()
            for line in written:
                answer.late(line)

    def _start(self, stdin: str, output: _Output) -> None:
        import wasmtime  # noqa: PLC0415 - see above

        wasi = wasmtime.WasiConfig()
        try:
            wasi.stdin_file = stdin
        except wasmtime.WasmtimeError as error:  # the file is there, and was written just now
            raise StoreUnavailable(f"{stdin}: {error}") from error
        wasi.stdout_custom = output.write
        wasi.stderr_custom = self.scope.take
        store = wasmtime.Store(self.engine)
        store.set_wasi(wasi)
        store.set_fuel(self.guests.wasm_fuel)
        store.set_limits(self.guests.wasm_memory_bytes, _MAX_TABLE)
        store.set_epoch_deadline(1)
        now = self.scope.at_work()
        try:
            with _interrupted(self.engine, now.deadline), _failures_named(now.time_limit_s):
                linked = _linker(self.engine).instantiate(store, self.module)
                start: Any = linked.exports(store)["_start"]
                start(store)
        finally:
            output.check()
        if output.is_cut:
            raise Misuse("protocol", f"it wrote more than {_MAX_OUTPUT_BYTES} bytes")


@contextmanager
def _kept(call: Iterable[bytes], folder: str) -> Iterator[str]:
    """Write a call to a file and yield its path.

    It is in memory unless it is large: a program would take a disk that fails for its own failure.
    """
    rest, held, size_bytes = iter(call), [], 0
    while size_bytes <= _HELD_BYTES and (line := next(rest, b"")):
        held.append(line)
        size_bytes += len(line)
    file: IO[bytes]
    if size_bytes <= _HELD_BYTES:
        file = open(os.memfd_create("call"), "wb")  # noqa: SIM115 - closed below
    else:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    with file:
        file.writelines(chain(held, rest))
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file.

    Raises:
        Misuse: One is too long.
    """
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise Misuse("protocol", f"a line is longer than {MAX_LINE_BYTES} bytes")
        yield line.removesuffix(b"\n")


class _Output:
    """What a program writes, up to a limit; beyond it, its writes fail."""

    def __init__(self, file: IO[bytes]) -> None:
        self.is_cut = False
        self._refused: OSError | None = None
        self._file = file
        self._room = _MAX_OUTPUT_BYTES

    def write(self, piece: bytes) -> int:
        self._room -= len(piece)
        self.is_cut = self._room < 0
        if self.is_cut:
            return -errno.EFBIG
        try:
            return self._file.write(piece)
        except OSError as error:
            self._refused = error
            return -errno.EIO

    def check(self) -> None:
        """Raise the error of a file that did not take it all, whatever the program made of it."""
        if self._refused is not None:
            raise self._refused


@contextmanager
def _interrupted(engine: wasmtime.Engine, deadline: float) -> Iterator[None]:
    """Trap what runs at ``deadline``: signals do not reach Python while a module runs."""
    left_s = min(max(deadline - time.monotonic(), 0.0), threading.TIMEOUT_MAX)
    timer = threading.Timer(left_s, engine.increment_epoch)
    try:
        timer.start()
    except RuntimeError as error:
        raise StoreUnavailable(f"a thread for the time limit: {error}") from error
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _failures_named(limit_s: float) -> Iterator[None]:
    """Turn what ends a program badly into failures."""
    import wasmtime  # noqa: PLC0415 - see above

    try:
        yield
    except wasmtime.ExitTrap as error:
        if error.code != 0:
            reason = f"the program ended with code {error.code}"
            raise GuestFailed("author", "ProgramFailed", reason) from error
    except wasmtime.Trap as error:
        _raise_trap(error, limit_s)
    except wasmtime.WasmtimeError as error:
        if _HIGH_CODE in str(error):
            reason = "the program ended with a code that is not 0 to 125"
            raise GuestFailed("author", "ProgramFailed", reason) from error
        raise GuestFailed("author", "WasmError", str(error)) from error


def _raise_trap(trap: wasmtime.Trap, limit_s: float) -> NoReturn:
    import wasmtime  # noqa: PLC0415 - see above

    if trap.trap_code is wasmtime.TrapCode.INTERRUPT:
        raise over_time(limit_s) from trap
    if trap.trap_code is wasmtime.TrapCode.OUT_OF_FUEL:
        raise GuestFailed("limit", "OutOfFuel", "the program used up its fuel") from trap
    names = [frame.func_name or f"function {frame.func_index}" for frame in trap.frames]
    where = f" in {names[0]}" if names else ""
    code = trap.trap_code.name.lower().replace("_", " ") if trap.trap_code else trap.message
    raise GuestFailed("author", "Trap", f"{code}{where}") from trap
