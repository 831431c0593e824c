"""The same handlers in each language, by what they do."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which

from tests.support.services import absent

#: Where a program of ``wat`` puts what it reads.
_INPUT = 1 << 16


@dataclass(frozen=True)
class Language:
    """A language and its handlers.

    Attributes:
        name: Its source_type.
        letters: Mapper: returns each letter of the argument ``text`` with a 1.
        echo: Mapper of a child: returns its pair.
        add_up: Reducer: the sum of the values of each key.
        total: Reducer: the number of keys, as one pair.
        spread: Mapper: maps five pairs to the step ``next``, keeps its own key in the session.
        keep: Mapper: sets ``word`` to "x" in the session and returns nothing.
        kept: Reducer: returns what the session holds.
        talk: Mapper: writes "hello", logs "careful" as a warning, returns nothing.
        fail: Mapper: fails in line 5.
        bad_pair: Mapper: returns a good pair, then one that is not.
        spin: Mapper: never ends.
        die: Mapper: ends its process badly.
        broken: What no handler may be.
    """

    name: str
    letters: str
    echo: str
    add_up: str
    total: str
    spread: str
    keep: str
    kept: str
    talk: str
    fail: str
    bad_pair: str
    spin: str
    die: str
    broken: str

    def need(self) -> None:
        """Skip the test when what runs the language is missing."""
        if self.name == "javascript" and which("node") is None:
            absent("node", "the program node is not installed")
        if self.name == "wasm" and find_spec("wasmtime") is None:
            absent("wasmtime", "needs wasmtime of the extra wasm")


PYTHON = Language(
    name="python",
    letters="def handler(text):\n yield Return()\n yield from ((letter, 1) for letter in text)",
    echo="def handler(key, value):\n yield Return()\n yield key, value",
    add_up="def handler(key, values): yield key, sum(values)",
    total="def handler(results): yield 'keys', len(list(results))",
    spread=(
        "def handler(key, value):\n yield Map('next')\n S_SET('mine', key)\n"
        " for n in range(5): yield n, key"
    ),
    keep="def handler(arguments):\n yield Return()\n S_SET('word', 'x')",
    kept="def handler(results): yield 'word', S_GET('word')",
    talk="def handler(arguments):\n yield Return()\n print('hello')\n LOG.warning('careful')",
    fail="def handler(arguments):\n\n yield Return()\n\n raise ValueError('boom')",
    bad_pair="def handler(arguments):\n yield Return()\n yield 'a', 1\n yield 'b'",
    spin="def handler(arguments):\n yield Return()\n while True: pass",
    die="import os\ndef handler(arguments): os.abort()",
    broken="def handler(arguments):\n  yield (",
)

JAVASCRIPT = Language(
    name="javascript",
    letters=(
        "export function* handler(text) {\n"
        "  yield Return();\n"
        "  for (const letter of text) yield [letter, 1];\n}"
    ),
    echo="export function* handler(key, value) {\n  yield Return();\n  yield [key, value];\n}",
    add_up=(
        "export function* handler(key, values) {\n"
        "  yield [key, values.reduce((sum, value) => sum + value, 0)];\n}"
    ),
    total="export function* handler(results) {\n  yield ['keys', [...results].length];\n}",
    spread=(
        "export async function* handler(key, value) {\n"
        "  yield Map('next');\n"
        "  S_SET('mine', key);\n"
        "  for (let n = 0; n < 5; n++) yield [n, key];\n}"
    ),
    keep="export function* handler(args) {\n  yield Return();\n  S_SET('word', 'x');\n}",
    kept="export function* handler(results) {\n  yield ['word', S_GET('word')];\n}",
    talk=(
        "export function* handler(args) {\n"
        "  yield Return();\n  console.log('hello');\n  LOG.warning('careful');\n}"
    ),
    fail=(
        "export function* handler(args) {\n"
        "  yield Return();\n  fail();\n}\nconst fail = () => boom();"
    ),
    bad_pair=(
        "export function* handler(args) {\n  yield Return();\n  yield ['a', 1];\n  yield 'b';\n}"
    ),
    spin="export function* handler(args) {\n  yield Return();\n  for (;;);\n}",
    die="export function* handler(args) {\n  process.kill(process.pid, 'SIGKILL');\n}",
    broken="export function* handler(args) {\n  yield (;\n}",
)


def _script(*body: str) -> str:
    """Return a shell script that answers calls in a loop, each with ``body``."""
    indented = "\n".join(f"  {line}" for line in body)
    return f"#!/bin/sh\nwhile read -r line; do\n{indented}\n  echo '{{\"end\":true}}'\ndone"


#: Reads the keys of a reducer, sets n to how many there are and runs the commands for each.
_KEYS = (
    'n=0; while read -r line && [ "$line" != \'{"end":true}\' ]; do',
    "n=$((n + 1))",
    "%s",
    "done",
)

EXECUTABLE = Language(
    name="executable",
    letters=_script(
        """text=${line#*'"text":"'}; text=${text%%'"'*}""",
        "echo '{\"return\":true}'",
        'while [ -n "$text" ]; do',
        'rest=${text#?}; echo "{\\"pair\\":[\\"${text%"$rest"}\\",1]}"; text=$rest',
        "done",
    ),
    echo=_script(
        """pair=${line#'{"call":"map","key":'}; pair=${pair%%',"request"'*}""",
        """key=${pair%%',"value":'*}; value=${pair#*',"value":'}""",
        """printf '%s\\n' '{"return":true}' "{\\"pair\\":[$key,$value]}\"""",
    ),
    add_up=_script(
        *_KEYS[:2],
        """key=${line#'{"key":'}; values=${key##*'"values":['}""",
        'printf \'{"pair":[%s,%s]}\\n\' "${key%%\',"values"\'*}" '
        '"$(($(printf %s "${values%%]*}" | tr , +)))"',
        "done",
    ),
    total=_script(*_KEYS[:2], ":", "done", 'printf \'{"pair":["keys",%s]}\\n\' "$n"'),
    spread=_script(
        """key=${line#'{"call":"map","key":'}; key=${key%%,*}""",
        'echo \'{"map":"next"}\'',
        'echo "{\\"session\\":{\\"mine\\":$key}}"',
        'for n in 0 1 2 3 4; do echo "{\\"pair\\":[$n,$key]}"; done',
    ),
    keep=_script("""echo '{"return":true}'; echo '{"session":{"word":"x"}}'"""),
    kept=_script(
        """word=${line#*'"word":'}; word=${word%%'}'*}""",
        *_KEYS[:2],
        ":",
        "done",
        'echo "{\\"pair\\":[\\"word\\",$word]}"',
    ),
    talk=_script("""echo hello; echo '{"log":{"level":"warning","message":"careful"}}'"""),
    fail='#!/bin/sh\nread -r line\nset -u\n# the next line fails\necho "$boom"',
    bad_pair=_script("""echo '{"return":true}'; echo '{"pair":["a",1]}'; echo '{"pair":["b"]}'"""),
    spin=_script("while :; do :; done"),
    die=_script("kill -9 $$"),
    broken="#!/bin/sh\nwhile read -r line; do\nif\n",
)


def wat(*parts: str | tuple[int, bytes]) -> str:
    """Return a WASI program in WAT that writes its parts.

    A part is text, or (offset, stop): what was read from ``offset`` up to the byte ``stop``.
    """
    texts = [part for part in parts if isinstance(part, str)]
    segments, calls, at = [], [], 64
    for text in texts:
        escaped = "".join(f"\\{byte:02x}" for byte in text.encode())
        segments.append(f'(data (i32.const {at}) "{escaped}")')
        at += len(text.encode())
    at = 64
    for part in parts:
        if isinstance(part, str):
            calls.append(f"(call $write (i32.const {at}) (i32.const {len(part.encode())}))")
            at += len(part.encode())
        else:
            offset, stop = part
            start = f"(i32.const {_INPUT + offset})"
            length = f"(i32.sub (call $find {start} (i32.const {stop[0]})) {start})"
            calls.append(f"(call $write {start} {length})")
    return _program("\n    ".join(calls), segments)


def _program(body: str, segments: Sequence[str] = ()) -> str:
    lines = "\n  ".join(segments)
    return f"""(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  {lines}
  (func $write (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $read (result i32)
    (i32.store (i32.const 0) (i32.const {_INPUT}))
    (i32.store (i32.const 4) (i32.const 65536))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.add (i32.const {_INPUT}) (i32.load (i32.const 8))))
  (func $find (param $at i32) (param $byte i32) (result i32)
    (loop $next
      (if (i32.ne (i32.load8_u (local.get $at)) (local.get $byte)) (then
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next))))
    (local.get $at))
  (func $number (param $value i32)
    (if (i32.ge_u (local.get $value) (i32.const 10)) (then
      (call $number (i32.div_u (local.get $value) (i32.const 10)))))
    (i32.store8 (i32.const 12)
      (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10))))
    (call $write (i32.const 12) (i32.const 1)))
  (func (export "_start") (local $at i32) (local $end i32) (local $sum i32) (local $n i32)
    (local.set $end (call $read))
    {body}))"""


#: Where values begin in the call of a first mapper with the argument ``text``.
_TEXT = _INPUT + len('{"call":"map","arguments":{"text":"')
_RETURN = '{"return":true}\n'
_SAY = {64: _RETURN, 96: '{"pair":["', 112: '",1]}\n'}

WASM_LETTERS = _program(
    f"""(call $write (i32.const 64) (i32.const {len(_RETURN)}))
    (local.set $at (i32.const {_TEXT}))
    (block $done (loop $next
      (br_if $done (i32.eq (i32.load8_u (local.get $at)) (i32.const 34)))
      (call $write (i32.const 96) (i32.const 10))
      (call $write (local.get $at) (i32.const 1))
      (call $write (i32.const 112) (i32.const 6))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))""",
    [
        f'(data (i32.const {at}) "{"".join(f"{chr(92)}{byte:02x}" for byte in text.encode())}")'
        for at, text in _SAY.items()
    ],
)

#: For each line {"key":K,"values":[1,2]} writes {"pair":[K,3]}; other lines start otherwise.
_EACH_KEY = """(local.set $at (i32.add (call $find (local.get $at) (i32.const 10)) (i32.const 1)))
    (block $done (loop $line
      (br_if $done (i32.ne (i32.load8_u offset=2 (local.get $at)) (i32.const 107)))
      %s
      (local.set $at (i32.add (call $find (local.get $at) (i32.const 10)) (i32.const 1)))
      (br $line)))"""

WASM_ADD_UP = _program(
    f"(local.set $at (i32.const {_INPUT}))\n    "
    + _EACH_KEY
    % """(call $write (i32.const 64) (i32.const 9))
      (local.set $at (i32.add (local.get $at) (i32.const 7)))
      (call $write (local.get $at) (i32.sub
        (call $find (local.get $at) (i32.const 44)) (local.get $at)))
      (call $write (i32.const 80) (i32.const 1))
      (local.set $at (call $find (local.get $at) (i32.const 91)))
      (local.set $sum (i32.const 0))
      (block $summed (loop $value
        (local.set $n (i32.const 0))
        (loop $digit
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (if (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)) (i32.const 10))
            (then
              (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10))
                (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
              (br $digit))))
        (local.set $sum (i32.add (local.get $sum) (local.get $n)))
        (br_if $value (i32.eq (i32.load8_u (local.get $at)) (i32.const 44)))))
      (call $number (local.get $sum))
      (call $write (i32.const 96) (i32.const 3))""",
    [
        '(data (i32.const 64) "{\\22pair\\22:[")',
        '(data (i32.const 80) ",")',
        '(data (i32.const 96) "]}\\0a")',
    ],
)

WASM_TOTAL = _program(
    f"(local.set $at (i32.const {_INPUT}))\n    "
    + _EACH_KEY % "(local.set $n (i32.add (local.get $n) (i32.const 1)))"
    + """
    (call $write (i32.const 64) (i32.const 16))
    (call $number (local.get $n))
    (call $write (i32.const 96) (i32.const 3))""",
    [
        '(data (i32.const 64) "{\\22pair\\22:[\\22keys\\22,")',
        '(data (i32.const 96) "]}\\0a")',
    ],
)

_KEY = len('{"call":"map","key":')

WASM = Language(
    name="wasm",
    letters=WASM_LETTERS,
    # Keys and values of one digit.
    echo=wat(_RETURN, '{"pair":[', (_KEY, b","), ",", (_KEY + 10, b","), "]}\n"),
    add_up=WASM_ADD_UP,
    total=WASM_TOTAL,
    spread=wat(
        '{"map":"next"}\n',
        *('{"session":{"mine":', (_KEY, b","), "}}\n"),
        *(part for n in range(5) for part in (f'{{"pair":[{n},', (_KEY, b","), "]}\n")),
    ),
    keep=wat(_RETURN, '{"session":{"word":"x"}}\n'),
    kept=wat('{"pair":["word",', (len('{"call":"reduce","session":{"word":'), b"}"), "]}\n"),
    talk=wat(_RETURN, 'hello\n{"log":{"level":"warning","message":"careful"}}\n'),
    fail=wat('{"error":{"type":"ValueError","message":"boom","line":5}}\n'),
    bad_pair=wat(_RETURN, '{"pair":["a",1]}\n{"pair":["b"]}\n'),
    spin=_program("(loop $forever (br $forever))"),
    die=_program("unreachable"),
    broken="(module\n  (func (export _start)))",
)

LANGUAGES = (PYTHON, JAVASCRIPT, EXECUTABLE, WASM)


@functools.cache
def by_name(name: str) -> Language:
    """Return a language by its source_type."""
    return next(language for language in LANGUAGES if language.name == name)
