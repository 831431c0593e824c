from __future__ import annotations

import ast

import pytest

from jobx.handlers.authoring.mr_reading import read

#: Code that is found, by rule; the last line is the one that counts.
FOUND = {
    "division": ["x = 7 / 2", "x /= y", "x = 1\ny = sum(v) / len(v)"],
    "lists": [
        "d.keys()[0]",
        "x = zip(a, b)\nx[0]",
        "len(map(f, a))",
        "x = range(3)\nx.append(4)",
        "a = range(3) + [4]",
        "d.items().sort()",
    ],
    "next": ["g.next()"],
    "cmp": ["a.sort(f)", "sorted(a, f)", "sorted(a, cmp=f)", "a.sort(cmp=f)"],
    "print": ["print >> f", "print >> f, 'x', y"],
    "message": ["try:\n    f()\nexcept E as e:\n    LOG.info(e.message)"],
    "bytes": [
        "hashlib.sha1('x')",
        "base64.b64encode('%s' % x)",
        "zlib.compress(json.dumps(x))",
        "hashlib.md5(f'{x}')",
    ],
    "modules": ["import urllib2", "from cStringIO import StringIO", "import xmlrpclib as x"],
    "attributes": ["from itertools import izip", "sys.maxint", "urllib.urlencode(x)"],
    "builtins": ["f = file('/x')", "raw_input()"],
    "special": [
        "class C:\n    def __nonzero__(self): return True",
        "class C:\n    __metaclass__ = M",
        "class C:\n    def next(self): pass",
    ],
    "mr": ["import mr.config.log", "from mr.models.kv import request", "from mr import config"],
    "fs-errors": ["from fs.errors import ResourceNotFoundError", "import fs"],
    "fs-mode": ["FS.open('a', 'a')", "FS.open('a', mode='r+')"],
    "fs-arguments": [
        "FS.ls('a', '*.txt')",
        "FS.ls('a', dirs_only=True)",
        "FS.rmdir('a', True)",
        "FS.cp('a', 'b', chunk_size=9)",
        "FS.open('a', 'r', 1)",
    ],
    "fs-uri": ["FS.get_stat('a').uri"],
    "log": ["LOG.setLevel(10)", "LOG.addHandler(h)"],
    "environment": ["os.environ['A']", "os.environ.get('A')", "os.getenv(name)"],
    "relative": ["open('a.txt')", "os.listdir('.')"],
}
#: Code that looks like it, and is none.
LEFT_ALONE = [
    *("x = y * 1.0 / 2", "x = 1.0 / 2", "x = float(a) / b", "root / 'name'", "x = 7 // 2"),
    "from __future__ import division\nx = 7 / 2",
    *("list(d.keys())[0]", "for k in d.keys(): pass", "len(d.keys())", "range(3)[0]"),
    "x = list(zip(a, b))\nx[0]",
    "class N:\n    def next(self): pass\n    __next__ = next\nN().next()",
    *("a.sort()", "sorted(a, key=f)", "a.sort(key=f, reverse=True)"),
    *("print(x)", "x >> f", "e.message", "hashlib.sha1('x'.encode())", "hashlib.sha1(b'x')"),
    *("import urllib.request", "sys.maxsize", "def f(file): return file", "file = 1\nfile"),
    "class C:\n    def __bool__(self): return True\n    __nonzero__ = __bool__",
    *(
        "import mr.handlers.scope",
        "from mr.handlers import scope",
        "from mr.handlers.scope import X",
    ),
    *("FS.open('a', 'w')", "FS.open('a', mode)", "FS.mkdir('a', True, allow_recreate=True)"),
    *("FS.ls('a')", "FS.cp('a', 'b', True)", "LOG.info('x')", "os.environ['PATH']"),
    *("open('/a')", "open(path)", "FS.open('a')", "open(JOIN(root, 'a'))"),
]


@pytest.mark.parametrize(
    ("rule", "code"), [(rule, code) for rule, codes in FOUND.items() for code in codes]
)
def test_what_is_done_otherwise_is_found_by_rule_and_line(rule: str, code: str) -> None:
    found = read(ast.parse(f"x = 1\n{code}"))
    assert [(line, name) for line, name, _ in found] == [(2 + code.count("\n"), rule)]


@pytest.mark.parametrize("code", LEFT_ALONE)
def test_what_is_as_it_was_is_left_alone(code: str) -> None:
    assert read(ast.parse(code), ("PATH",)) == []


@pytest.mark.parametrize(
    ("code", "write"),
    [
        ("import urllib2", "`urllib.request and urllib.error`"),
        ("sys.maxint", "`sys.maxsize`"),
        ("raw_input()", "`an argument`"),
        ("class C:\n    def __nonzero__(self): pass", "`__bool__`"),
        ("try: f()\nexcept E as e: e.message", "`str(e)`"),
    ],
)
def test_a_finding_says_what_to_write(code: str, write: str) -> None:
    assert [found[2] for found in read(ast.parse(code))] == [write]


def test_a_factory_is_read_for_what_it_was_given() -> None:
    module = ast.parse("handler.cast_arguments\nworkflow.description\nos.environ['A']\n")
    found = [(line, rule) for line, rule, _ in read(module, is_factory=True)]
    assert found == [(1, "factory"), (2, "factory")]


@pytest.mark.parametrize(
    "code", ["hashlib.sha1(" + "a + " * 900 + "b)", "x = 1.0 / " + "y * " * 900 + "z"]
)
def test_long_expressions_are_read(code: str) -> None:
    assert read(ast.parse(code)) == []


def test_lines_are_in_order_and_told_once() -> None:
    found = read(ast.parse("a = 1 / 2 / 3\nb = g.next() / 2\n"))
    assert [line for line, _, _ in found] == [1, 2, 2]
