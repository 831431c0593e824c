"""Every reader of foreign bytes takes time and memory that are linear in what it reads."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import falcon
import pytest
from falcon import testing
from falcon.asgi import Request

from jobx import config_loading, frames, model, values
from jobx.errors import JobxError, TooLarge
from jobx.handlers import languages
from jobx.handlers.authoring import header
from jobx.handlers.authoring.declaration_reading import Reading
from jobx.handlers.languages import processor, shell
from jobx.handlers.languages.answer import ProgramAnswer
from jobx.handlers.scope.names import Scope
from jobx.http.door import origins
from jobx.http.reading import bodies, headers, item_count, json_bodies
from jobx.http.writing import media
from jobx.tools.shared.parsing import parse_arguments
from tests.support.cpu_time import cpu_s

#: How much larger the second input is, and how much more it may take: a busy machine is slow.
TIMES: Final = 4
SLACK: Final = 3 * TIMES
REFUSALS: Final = (JobxError, ValueError, falcon.HTTPError)

Reader = Callable[[str], object]
Growing = Callable[[int], str]


def _json(text: str) -> object:
    body = text.encode()
    with suppress(TooLarge):
        json_bodies.count_items(body, len(body) // 100)
    found = json_bodies.decode(body, 64)
    values.check_value(values.from_jsonable(found))
    return found


def _msgpack(text: str) -> object:
    body = text.encode("latin-1")
    item_count.count_items(body, 1 << 20)
    return values.unpack_foreign(body)


def _frames(text: str) -> object:
    decoder, stream = frames.FrameDecoder(), text.encode("latin-1")
    return [list(decoder.bodies(stream[at : at + 999])) for at in range(0, len(stream), 999)]


def _head(name: str, read: Callable[[Request], object]) -> Reader:
    def go(text: str) -> object:
        scope = testing.create_scope(headers={name: text})
        return read(Request(scope, None))

    return go


def _query(text: str) -> object:
    req = Request(testing.create_scope(query_string=text), None)
    headers.check_query(req, "limit", "after")
    return headers.page_limit(req, 1000)


def _host(text: str) -> object:
    return origins.Hosts("127.0.0.1:80", ()).check(text.encode("latin-1"), "127.0.0.1")


def _origin(text: str) -> object:
    return origins.check_origin("POST", {b"origin": text.encode("latin-1")}, b"h")


def _source_header(language: str) -> Reader:
    return lambda text: header.read("handler h", language, text)


def _metadata(form: str) -> Reader:
    return lambda text: header.read("handler h", "shell", _commented(f"\n**{form}\n{text}"))


def _node_patterns(text: str) -> object:
    """Look for the patterns of the processor of JavaScript, in a source."""
    source = languages.__path__[0] + "/node/surroundings.mjs"
    found = re.findall(r"^const [A-Z]+ = /(.*)/g?;$", Path(source).read_text(), re.MULTILINE)
    assert len(found) == 4
    return [re.findall(pattern, text) for pattern in found]


def _commented(text: str) -> str:
    return "\n".join(f"# {line}" for line in text.split("\n"))


def _written(text: str) -> object:
    return list(ProgramAnswer(Scope()).yielded(text.encode().split(b"\n")))


def _cells(text: str) -> object:
    return [shell._value(shell._text(cell), 1) for cell in text.split("\t")]


def _variable(text: str) -> object:
    return config_loading.load(None, {f"JOBX_{text}": "1"}, {})


def _settings(text: str) -> object:
    try:
        return config_loading._tree(text)
    except RecursionError as error:  # of tomllib; whoever loads a file expects it
        return error


def _name(text: str) -> object:
    return model.check_name("cursor", text)


JSON: Final[dict[str, Growing]] = {
    "lists": lambda n: "[" + "[]," * (n // 3) + "0]",
    "deep": lambda n: "[" * n,
    "maps": lambda n: '{"a":' * (n // 5),
    "names": lambda n: "{" + ",".join(f'"{i}":0' for i in range(n // 8)) + "}",
    "one name": lambda n: "{" + ",".join(['"a":0'] * (n // 6)) + "}",
    "a name again": lambda n: "{" + ",".join(f'"{i}":0' for i in range(n // 8)) + ',"0":0}',
    "escapes": lambda n: '"' + "\\" * n,
    "halves": lambda n: '"' + "\\ud800" * (n // 6) + '"',
    "escaped text": lambda n: '["' + "\\u00e9" * (n // 6) + '"]',
    "marks in texts": lambda n: '[":,[{' + '","[]:{' * (n // 8) + '"]',
    "digits": lambda n: "9" * n,
    "exponents": lambda n: "[" + "1e999," * (n // 6) + "0]",
    "fraction": lambda n: "0." + "1" * n,
    "blanks": lambda n: " " * n + "x",
    "minus": lambda n: "-" * n,
    "tags": lambda n: '[{"$map":[' + ",".join(f"[{i},0]" for i in range(n // 9)) + "]}]",
    "colliding": lambda n: (
        '[{"$map":[' + ",".join(f"[{((1 << 61) - 1) * i},0]" for i in range(1, n // 24)) + "]}]"
    ),
    "bytes": lambda n: '[{"$bytes":"' + "AAAA" * (n // 4) + '"}]',
    "decimal": lambda n: '[{"$decimal":"' + "1" * n + '"}]',
    "timestamp": lambda n: '[{"$timestamp":"' + "1" * n + '"}]',
}
MSGPACK: Final[dict[str, Growing]] = {
    "ones": lambda n: "\xdd" + n.to_bytes(4).decode("latin-1") + "\x01" * n,
    "deep": lambda n: "\x91" * n,
    "announced": lambda n: "\xdd\x00\x00\xff\xff" * (n // 5),
    "maps": lambda n: "\x81" * n,
    "numbers": lambda n: (
        "\xdf"
        + (n // 10).to_bytes(4).decode("latin-1")
        + "".join(values.pack(i * ((1 << 61) - 1)).decode("latin-1") + "\0" for i in range(n // 10))
    ),
    "no code": lambda n: "\xc1" * n,
}
FRAMES: Final[dict[str, Growing]] = {
    "one": lambda n: n.to_bytes(4).decode("latin-1") + "x" * n,
    "many": lambda n: "\0\0\0\1\x80" * (n // 5),
    "empty": lambda n: "\0\0\0\0" * (n // 4),
}
LISTS: Final[dict[str, Growing]] = {
    "items": lambda n: "a/b," * (n // 4),
    "weights": lambda n: "a/b;q=0.1," * (n // 10),
    "parameters": lambda n: "a/b" + ";a=b" * (n // 4),
    "names": lambda n: "a" * n,
    "semicolons": lambda n: "a" + ";" * n,
    "commas": lambda n: "," * n,
    "quotes": lambda n: 'a="' * (n // 3),
    "blanks": lambda n: "a" + " " * n + "x",
    "blank lists": lambda n: "a" + " ; b" * (n // 4) + " x",
    "equals": lambda n: "a" + "=" * n,
    "wait": lambda n: "wait=" + "9" * n,
    "slashes": lambda n: "/" * n,
    "stars": lambda n: "*/*;q=0," * (n // 8),
}
HOSTS: Final[dict[str, Growing]] = {
    "colons": lambda n: ":" * n,
    "brackets": lambda n: "[" * n,
    "digits": lambda n: "1" * n,
    "dots": lambda n: "1." * (n // 2),
    "scheme": lambda n: "http://" * (n // 7),
    "addresses": lambda n: "1.2.3.4," * (n // 8),
    "zone": lambda n: "fe80::1%" + "a" * n,
}
QUERIES: Final[dict[str, Growing]] = {
    "parameters": lambda n: "limit=1&" * (n // 8),
    "names": lambda n: "&".join(f"a{i}=1" for i in range(n // 8)),
    "percents": lambda n: "after=" + "%41" * (n // 3),
    "commas": lambda n: "after=" + "," * n,
    "digits": lambda n: "limit=" + "9" * n,
    "ampersands": lambda n: "&" * n,
}
HEADERS: Final[dict[str, Growing]] = {
    "comments": lambda n: "# \n" * (n // 3),
    "slashes": lambda n: "// \n" * (n // 4),
    "semicolons": lambda n: ";; \n" * (n // 4),
    "open docstring": lambda n: '"""' + "a\n" * (n // 2),
    "open comment": lambda n: "/*" + " * a\n" * (n // 5),
    "stars": lambda n: "/*" + "*" * n,
    "marks": lambda n: '"""' + "**a\n" * (n // 4) + '"""',
    "mark": lambda n: "# **" + "a" * n,
    "blanks": lambda n: " " * n + "x",
    "backslashes": lambda n: "\\\n" * (n // 2),
    "quotes": lambda n: "'" * n,
    "deeper": lambda n: "#" + "".join(f"#{' ' * (i % 60)}a\n" for i in range(n // 32)),
}
YAML: Final[dict[str, Growing]] = {
    "keys": lambda n: "\n".join(f"k{i}: 1" for i in range(n // 8)),
    "a key": lambda n: "k: 1\n" * (n // 5),
    "flow": lambda n: "a: [" + "1," * (n // 2) + "]",
    "deep flow": lambda n: "a: " + "[" * n,
    "dashes": lambda n: "- " * (n // 2),
    "questions": lambda n: "? " * (n // 2),
    "anchors": lambda n: "a: &a [" + "&b 1," * (n // 5) + "]",
    "aliases": lambda n: "a: &a 1\nb: [" + "*a," * (n // 3) + "]",
    "text": lambda n: "a: '" + "''" * (n // 2),
    "escapes": lambda n: 'a: "' + "\\n" * (n // 2) + '"',
    "folded": lambda n: "a: >\n" + " a\n\n" * (n // 4),
    "tags": lambda n: "a: !!" + "a" * n,
    "digits": lambda n: "a: " + "9" * n,
    "colons": lambda n: "a: b" + ":" * n,
    "comments": lambda n: "a: 1 " + "# " * (n // 2),
}
SOURCES: Final[dict[str, Growing]] = {
    "blanks after from": lambda n: "// from" + " " * n,
    "blanks after import": lambda n: "import" + "\n" * n + "(",
    "blanks in brackets": lambda n: "import(" + " " * n,
    "imports": lambda n: "import " * (n // 7),
    "quotes": lambda n: "from '" * (n // 6),
    "open quote": lambda n: "from '" + "from " * (n // 5),
    "brackets": lambda n: "import (" * (n // 8),
    "letters": lambda n: "a" * n,
    "module": lambda n: "NativeModule internal/" * (n // 22),
}
LINES: Final[dict[str, Growing]] = {
    "pairs": lambda n: '{"pair":[1,2]}\n' * (n // 15),
    "words": lambda n: '{"pear":[1,2]}\n' * (n // 15),
    "output": lambda n: "text\n" * (n // 5),
    "blanks": lambda n: " " * n + "{",
    "one": lambda n: '{"pair":["k","' + "a" * n + '"]}',
    "blank words": lambda n: "{" + " " * n + '"pair"',
}
CELLS: Final[dict[str, Growing]] = {
    "digits": lambda n: "9" * n,
    "fraction": lambda n: "1." + "9" * n,
    "exponents": lambda n: "1.1e" + "9" * n,
    "backslashes": lambda n: "\\" * n,
    "tabs": lambda n: "1\t" * (n // 2),
}
NAMES: Final[dict[str, Growing]] = {
    "letters": lambda n: "a" * n,
    "dots": lambda n: "a" + "." * n,
    "upper": lambda n: "A" * n,
    "words": lambda n: "NODE_" * (n // 5),
}
FILES: Final[dict[str, Growing]] = {
    "jobs": lambda n: (
        "workflow: w\njobs:\n" + "".join(f"  j{i}: {{step: s}}\n" for i in range(n // 17))
    ),
    "wrong jobs": lambda n: (
        "workflow: w\njobs:\n" + "".join(f"  j{i}: {{stp: s}}\n" for i in range(n // 17))
    ),
    "unknown keys": lambda n: "workflow: w\n" + YAML["keys"](n),
}
TOML: Final[dict[str, Growing]] = {
    "keys": lambda n: "[node]\n" + "\n".join(f"k{i} = 1" for i in range(n // 8)),
    "sections": lambda n: "\n".join(f"[t{i}]" for i in range(n // 8)),
    "dotted": lambda n: "a" + ".a" * (n // 2) + " = 1",
    "dotted keys": lambda n: "\n".join(f"a.b{i} = 1" for i in range(n // 10)),
    "dotted section": lambda n: "[a" + ".a" * (n // 2) + "]",
    "lists": lambda n: "a = [" + "1," * (n // 2) + "]",
    "deep": lambda n: "a = " + "[" * n,
    "deep maps": lambda n: "a = " + "{a=" * (n // 3),
    "text": lambda n: 'a = "' + "\\n" * (n // 2) + '"',
    "lines of text": lambda n: 'a = """' + '"\n' * (n // 2) + '"""',
    "quotes": lambda n: "a = '''" + "''a" * (n // 3),
    "digits": lambda n: "a = " + "9" * n,
    "underscores": lambda n: "a = 1" + "_1" * (n // 2),
    "comments": lambda n: "#\n" * (n // 2),
    "blanks": lambda n: " " * n + "x",
    "tables": lambda n: "[[a]]\n" * (n // 6),
}
#: Each reader: its inputs, and how many bytes they have first.
READERS: Final[dict[str, tuple[Reader, dict[str, Growing], int]]] = {
    "JSON": (_json, JSON, 1 << 16),
    "msgpack": (_msgpack, MSGPACK, 1 << 14),
    "frames": (_frames, FRAMES, 1 << 15),
    "Accept": (_head("Accept", media.accepted), LISTS, 1 << 13),
    "Prefer": (_head("Prefer", lambda req: headers.waiting(req, 1.0)), LISTS, 1 << 13),
    "Idempotency-Key": (_head("Idempotency-Key", headers.idempotency_key), LISTS, 1 << 13),
    "X-Forwarded-For": (
        _head("X-Forwarded-For", lambda req: headers.requester_ip(req, "X-Forwarded-For")),
        HOSTS,
        1 << 13,
    ),
    "Content-Type": (
        _head("Content-Type", lambda req: bodies._media_type(req.content_type)),
        LISTS,
        1 << 13,
    ),
    "Host": (_host, HOSTS, 1 << 13),
    "Origin": (_origin, HOSTS, 1 << 13),
    "query": (_query, QUERIES, 1 << 13),
    "cursor": (_name, NAMES, 1 << 13),
    "variable": (_variable, NAMES, 1 << 13),
    "header of Python": (_source_header("python"), HEADERS, 1 << 15),
    "header of JavaScript": (_source_header("javascript"), HEADERS, 1 << 15),
    "header of a script": (_source_header("shell"), HEADERS, 1 << 15),
    "header of a module": (_source_header("wasm"), HEADERS, 1 << 15),
    "imports of JavaScript": (_node_patterns, SOURCES, 1 << 13),
    "YAML": (_metadata("yaml"), YAML, 1 << 12),
    "JSON of a header": (_metadata("json"), JSON, 1 << 13),
    "workflow file": (lambda text: Reading(text).declaration(), FILES, 1 << 12),
    "line protocol": (_written, LINES, 1 << 15),
    "settings": (_settings, TOML, 1 << 13),
    "cells": (_cells, CELLS, 1 << 15),
    "arguments": (lambda text: parse_arguments("-a", [f"x={text}"]), JSON, 1 << 14),
    "JavaScript": (lambda text: processor("javascript").read(text, "mapper"), HEADERS, 1 << 15),
}
CASES: Final = [(reader, kind) for reader, (_, kinds, _) in READERS.items() for kind in kinds]


def _taken(read: Reader, text: str) -> float:
    def refused_or_read() -> None:
        with suppress(*REFUSALS):
            read(text)

    return cpu_s(refused_or_read)


def _held(read: Reader, text: str) -> int:
    tracemalloc.start()
    try:
        with suppress(*REFUSALS):
            read(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("reader", "kind"), CASES)
def test_four_times_as_much_takes_about_four_times_as_long(reader: str, kind: str) -> None:
    read, kinds, size = READERS[reader]
    small, large = kinds[kind](size), kinds[kind](TIMES * size)
    least_s = min(_taken(read, small) for _ in range(3))
    for _ in range(10):  # one quick run shows that it can be done
        if _taken(read, large) < SLACK * least_s + 0.03:
            return
    pytest.fail(f"{len(small)} bytes took {least_s:.4f} s, {len(large)} always over {SLACK} times")


@pytest.mark.parametrize(("reader", "kind"), CASES)
def test_four_times_as_much_takes_about_four_times_the_memory(reader: str, kind: str) -> None:
    read, kinds, size = READERS[reader]
    small, large = kinds[kind](size // 2), kinds[kind](TIMES * size // 2)  # tracing is slow
    most = 2 * TIMES * _held(read, small) + (1 << 20)
    for _ in range(10):  # what other threads hold is traced, too; once without shows that it can be
        if _held(read, large) < most:
            return
    pytest.fail(f"{len(large)} bytes always held more than {most} bytes")
