"""Which handlers are self-contained, told by their text."""

from __future__ import annotations

import ast
import os

import pytest
from msgspec.structs import asdict

from jobx.handlers.languages import processor
from jobx.handlers.languages.guests import Guests
from jobx.handlers.languages.python_self_contained import is_self_contained
from jobx.handlers.scope.names import Scope
from tests.support.frames import load
from tests.support.leavings import PYTHON_ROWS, STAYS

SELF_CONTAINED = {
    "a mapper": "def handler(key, value):\n yield Return()\n yield key, value + 1",
    "bare statements": "yield Map('next')\nfor key, value in arguments: yield key, len(value)",
    "output and the session": "print(1); LOG.info('x'); S_SET('a', INVOCATION.id); PRINT(SEP)",
    "text": "import re, json as j\nx = re.findall('a', j.dumps('b').lower())",
    "names of modules": "from math import dist\nfrom collections import Counter\nCounter()",
    "the future": "from __future__ import annotations",
    "a class": "class A:\n def __init__(self, x): self.x = x\nA(1).x",
    "an exception": "try: int('a')\nexcept ValueError as error: print(str(error))",
    "decorators of its own": "import functools, dataclasses as d\nfrom functools import wraps\n"
    "def f(g):\n @wraps(g)\n def h(): return g()\n return h\n"
    "@functools.total_ordering\n@d.dataclass(frozen=True)\nclass A: a: int = 1",
    "constants": "import math, re, string, datetime as d\n"
    "re.I | re.M, math.pi, string.digits, d.UTC, d.timezone.utc",
    "types": "from typing import Any, Optional\nimport typing as t\n"
    "def f(x: t.Callable[[int], str], *y: Any) -> Optional[int]: z: list[Any] = []",
    "a part of a package": "import collections.abc as abc\nisinstance(x, abc.Mapping)",
    "types by name": "from collections.abc import Mapping, Set\nfrom json import JSONDecodeError\n"
    "class A(Mapping): pass\ntry: issubclass(A, Set | Mapping)\n"
    "except (JSONDecodeError, OSError): 1",
    "classes that cannot be changed": "from datetime import datetime\nimport itertools as i\n"
    "datetime.now(), f(datetime), i.chain.from_iterable([])",
    "functions that cannot be changed": "import math\nmap(math.sqrt, x)",
    "a module twice": "import json\ndef f():\n import json\n return json.dumps(1)",
    "classes of builtins": "isinstance(1, int | str); super; object; KeyError; memoryview",
}
REACHING = {
    "a module": "import os",
    "a part of a module": "from os import path",
    "a module in a package": "import os.path",
    "a relative module": "from . import a",
    "a module that a module imported": "import json\njson.codecs.open('a', 'w')",
    "the same by its name": "from json import codecs",
    "a module passed on": "import json\nf(json)",
    "a module by another name": "import json as j\nk = j\nk.codecs",
    "all of a module": "from json import *",
    "a name that is not public": "from random import _inst",
    "a file": "open('a', 'w')",
    "any code": "exec('1')",
    "an expression": "eval('1')",
    "an import by call": "__import__('os')",
    "builtins": "__builtins__['sum'] = max",
    "an attribute by name": "getattr(f, x)",
    "globals": "globals()",
    "the end of the process": "quit()",
    "a program": "RUN('touch a')",
    "shared files": "FS.open('a')",
    "globals of a function": "f.__globals__['a']",
    "the frame of a generator": "g.gi_frame.f_builtins['sum'] = max",
    "the same by a pattern": "match g:\n case object(gi_frame=f): pass",
    "classes by their base": "object.__subclasses__()",
    "an attribute of something else": "import json\njson.dumps = str",
    "no attribute any more": "import json\ndel json.dumps",
    "an attribute in a loop": "import json\nfor json.dumps in [str]: pass",
    "a module or another": "try: import os as json\nexcept ImportError: import json",
    "a faster module or another": "try: import ujson as json\nexcept ImportError: import json",
    "two modules by a name": "import json as x\nimport math as x",
    "a package by its part": "import collections.abc\nf(collections)",
    "a part of a package's own": "import collections.abc\ncollections._sys.path.append('x')",
    "a module as self": "import json as self\nself.dumps = str",
    "a class as self": "from collections import Counter as self\nself.update = None",
    "a class become self": "from collections import Counter\nself = Counter\nself.update = None",
    "a relative module by name": "from .json import dumps",
    "files by a program of a module": "import base64\nbase64.main()",
    "the same program by its name": "from base64 import main",
    "text run as types": "import typing\ntyping.get_type_hints(f, {'a': 1})",
    "a function changed": "import functools\nfunctools.update_wrapper(g, f)",
    "a function changed by a decorator": "import functools, json\nfunctools.wraps(f)(json.dumps)",
    "the same decorator by its name": "from functools import wraps\nwraps(f)(len)",
    "a decorator passed on": "from functools import wraps\nw = wraps\nw(f)(g)",
    "a class changed by a decorator": "from collections import Counter\n"
    "from dataclasses import dataclass\ndataclass(Counter)",
    "attributes by text": "import string\nstring.Formatter().get_field('0.__globals__', [f], {})",
    "a set of a module": "import hashlib\nhashlib.algorithms_available.add('x')",
    "the same set by its name": "from hashlib import algorithms_available as a\na.add('x')",
    "a list of a module": "import typing\ntyping.EXCLUDED_ATTRIBUTES.append('x')",
    "a class with a table": "from textwrap import TextWrapper",
    "the table of a class": "import textwrap\n"
    "textwrap.TextWrapper.unicode_whitespace_trans[97] = 'X'",
    "the same by an instance": "import textwrap\n"
    "textwrap.TextWrapper().unicode_whitespace_trans.update({97: 'X'})",
    "a class registered": "from collections.abc import Mapping\nMapping.register(list)",
    "a class registered below": "from collections.abc import Mapping\n"
    "class A(Mapping): pass\nA.register(list)",
    "an item of a class": "from collections import Counter\nCounter['a'] = 1",
    "a class passed on": "from collections import Counter\nf(Counter)",
    "a class of a module passed on": "import collections\nf(collections.Counter)",
    "a class passed on as a type": "from collections import Counter\nx: f(Counter) = 1",
    "the same to see what it is": "from collections import Counter\nisinstance(1, f(Counter))",
    "a function passed on": "from json import dumps\nx = [dumps]",
    "an attribute of a class": "from collections import Counter\nx = Counter.update",
    "an attribute of a function": "import json\njson.dumps.x",
    "self that is none": "def f(self): self.fix = 1",
    "self that is second": "class A:\n def f(a, self): self.fix = 1",
    "self of a lambda": "f = lambda self: [0 for self.fix in [1]]",
    "self within a method": "class A:\n def f(a):\n  def g(self): self.fix = 1",
    "self of a pattern": "match x:\n case self: self.fix = 1",
    "self of the rest of a pattern": "match x:\n case {1: 2, **self}: self.fix = 1",
    "self of an exception": "try: 1\nexcept E as self: self.fix = 1",
    "self of a name": "from json import self",
    "what a module imported": "import dataclasses\ndataclasses.FunctionType",
}


def _is_self_contained(source_code: str) -> bool:
    return is_self_contained(ast.parse(source_code), Scope().names("h"))


@pytest.mark.parametrize("source_code", SELF_CONTAINED.values(), ids=SELF_CONTAINED.keys())
def test_code_that_names_nothing_beyond_its_own_is(source_code: str) -> None:
    assert _is_self_contained(source_code)


@pytest.mark.parametrize("source_code", REACHING.values(), ids=REACHING.keys())
def test_code_that_names_what_leads_further_is_not(source_code: str) -> None:
    assert not _is_self_contained(source_code)


@pytest.mark.parametrize("name", [*PYTHON_ROWS, *STAYS])
def test_code_that_leaves_something_behind_is_not(name: str) -> None:
    code, _ = (PYTHON_ROWS | STAYS)[name]
    assert not _is_self_contained(code)


def test_code_with_names_of_a_factory_is_not() -> None:
    source = asdict(load("h", "mapper", "yield 1"))
    scope = Scope().extended({"DB": object()})
    assert processor("python").load(source, Scope(), Guests(os.devnull)).is_self_contained
    assert not processor("python").load(source, scope, Guests(os.devnull)).is_self_contained
