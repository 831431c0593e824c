"""What handlers written for mr did that is done otherwise now, and what to write instead.

``docs/migration.md`` has these rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """One difference.

    Attributes:
        what: What handlers of mr did.
        write: What to write instead; a finding may be more exact.
    """

    what: str
    write: str


RULES: Final[Mapping[str, Rule]] = {
    "syntax": Rule(
        "what only Python 2 can read: `print x`, `except E, e`, `raise E, x`, `0777`, backquotes",
        "what the message of Python 3 says",
    ),
    "division": Rule(
        "`/` of two whole numbers gave a whole number",
        "`//`; or `from __future__ import division`, where a fraction is right",
    ),
    "lists": Rule(
        "`map`, `filter`, `zip`, `range`, `keys`, `values` and `items` gave lists, with `[0]`, "
        "`len`, `+`, `sort`, `append`",
        "`list(…)` around the call",
    ),
    "next": Rule("`x.next()`", "`next(x)`"),
    "cmp": Rule("`x.sort(compare)`, `sorted(x, compare)`", "`key=functools.cmp_to_key(compare)`"),
    "print": Rule("`print >> file, x`", "`print(x, file=file)`"),
    "message": Rule("`error.message`", "`str(error)`"),
    "bytes": Rule(
        "text given to `hashlib`, `base64` or `zlib`, which take bytes", "`text.encode()`"
    ),
    "modules": Rule(
        "a module that has another name now: `urllib2`, `urlparse`, `ConfigParser`, `cPickle`, …",
        "its name in Python 3",
    ),
    "attributes": Rule(
        "an attribute that has another name now: `itertools.izip`, `sys.maxint`, `string.letters`, "
        "…",
        "its name in Python 3",
    ),
    "builtins": Rule(
        "a builtin that is gone: `file`, `raw_input`, `execfile`, `apply`, `reload`, …",
        "what does the same now",
    ),
    "special": Rule(
        "a method or attribute of a class that Python no longer looks at: `__nonzero__`, "
        "`__cmp__`, `__unicode__`, `__div__`, `__getslice__`, `__metaclass__`",
        "the one that it looks at",
    ),
    "mr": Rule(
        "an import of `mr`, other than of `mr.handlers.scope`",
        "the names in scope, such as `REQUEST` and `INVOCATION`",
    ),
    "fs-errors": Rule(
        "an import of PyFilesystem (`fs`), for its errors",
        "Python's own: `FileNotFoundError`, `FileExistsError`, `OSError`",
    ),
    "fs-mode": Rule(
        "`FS.open` in a mode other than `r`, `rb`, `w`, `wb`",
        "one of these: a file changes as a whole, so each mapper writes its own",
    ),
    "fs-arguments": Rule(
        "arguments of `FS` that were PyFilesystem's: `wildcard=`, `dirs_only=`, `chunk_size=`, …",
        "a choice among what `FS.ls` yields, or nothing",
    ),
    "fs-uri": Rule("`uri` of what `FS.ls` and `FS.get_stat` give", "the path: stores have no URI"),
    "log": Rule(
        "`LOG.setLevel`, `LOG.addHandler` and other settings of a logger",
        "nothing: all lines are kept with their invocation",
    ),
    "environment": Rule(
        "an environment variable of the server",
        "the same, and name the variable in the setting `executors.environment`",
    ),
    "relative": Rule(
        "a path that began in the working folder of the server",
        "an absolute path, from an argument or as `FS` has it",
    ),
    "factory": Rule(
        "in a scope factory, `cast_arguments` and `description` of a handler, `description` and "
        "`handlers_state` of a workflow",
        "nothing, or what the factory knows itself",
    ),
    "argument-type": Rule(
        "an `argument_spec` of `arguments` or `results` with another type than `list`",
        "`type: list`, and the other type in the code",
    ),
    "name": Rule(
        "a file or folder whose name has capitals, blanks or other characters than `a-z 0-9 _ . -`",
        "a name of these; its steps name it so, too",
    ),
    "folder": Rule("a handler in a folder whose name begins with `_`", "a folder of another name"),
    "language": Rule(
        "a file that mr passed over and JobX takes for a handler in another language",
        "a name that begins with `_`, or another place",
    ),
    "encoding": Rule("a file that is not UTF-8", "the same text as UTF-8"),
    "refused": Rule("all else that `jobx handler sync` refuses", "what its message says"),
}

#: The names that modules have now.
MODULES: Final[Mapping[str, str]] = {
    "__builtin__": "builtins",
    "anydbm": "dbm",
    "BaseHTTPServer": "http.server",
    "ConfigParser": "configparser",
    "Cookie": "http.cookies",
    "HTMLParser": "html.parser",
    "Queue": "queue",
    "SimpleHTTPServer": "http.server",
    "SocketServer": "socketserver",
    "StringIO": "io",
    "UserDict": "collections",
    "cPickle": "pickle",
    "cStringIO": "io",
    "commands": "subprocess",
    "cookielib": "http.cookiejar",
    "copy_reg": "copyreg",
    "dummy_thread": "_thread",
    "htmlentitydefs": "html.entities",
    "httplib": "http.client",
    "md5": "hashlib",
    "robotparser": "urllib.robotparser",
    "sets": "the builtin set",
    "sha": "hashlib",
    "thread": "threading",
    "urllib2": "urllib.request and urllib.error",
    "urlparse": "urllib.parse",
    "xmlrpclib": "xmlrpc.client",
}

#: What attributes of modules are now, by module and attribute.
ATTRIBUTES: Final[Mapping[tuple[str, str], str]] = {
    **{("itertools", f"i{name}"): f"the builtin {name}" for name in ("filter", "map", "zip")},
    ("itertools", "izip_longest"): "itertools.zip_longest",
    ("itertools", "ifilterfalse"): "itertools.filterfalse",
    ("os", "getcwdu"): "os.getcwd",
    ("os", "popen2"): "subprocess",
    ("os", "popen3"): "subprocess",
    ("string", "letters"): "string.ascii_letters",
    ("string", "lowercase"): "string.ascii_lowercase",
    ("string", "uppercase"): "string.ascii_uppercase",
    ("string", "maketrans"): "str.maketrans",
    ("sys", "maxint"): "sys.maxsize",
    ("sys", "exc_type"): "sys.exc_info()",
    ("sys", "exc_value"): "sys.exc_info()",
    ("sys", "exc_traceback"): "sys.exc_info()",
    ("sys", "exc_clear"): "nothing",
    ("sys", "setdefaultencoding"): "nothing: text has no encoding",
    ("types", "StringType"): "str",
    ("types", "UnicodeType"): "str",
    ("types", "ListType"): "list",
    ("types", "DictType"): "dict",
    ("types", "NoneType"): "type(None)",
    **{
        ("string", name): f"the method {name} of the text"
        for name in ("join", "lower", "replace", "split", "strip", "upper")
    },
    **{
        ("urllib", name): f"urllib.parse.{name}"
        for name in ("quote", "quote_plus", "unquote", "unquote_plus", "urlencode")
    },
    **{("urllib", name): f"urllib.request.{name}" for name in ("urlopen", "urlretrieve")},
    ("inspect", "getargspec"): "inspect.getfullargspec",
    ("time", "clock"): "time.process_time",
    ("collections", "Mapping"): "collections.abc.Mapping",
    ("collections", "Iterable"): "collections.abc.Iterable",
    ("collections", "Sequence"): "collections.abc.Sequence",
    ("collections", "Callable"): "collections.abc.Callable",
}

#: What does the work of builtins that are gone.
BUILTINS: Final[Mapping[str, str]] = {
    "apply": "f(*args, **kwargs)",
    "buffer": "memoryview",
    "coerce": "nothing",
    "execfile": "exec(open(path).read())",
    "file": "open",
    "intern": "sys.intern",
    "raw_input": "an argument",
    "reload": "importlib.reload",
    "StandardError": "Exception",
}

#: What Python looks at in place of special names of classes.
SPECIAL: Final[Mapping[str, str]] = {
    "__cmp__": "__eq__ and __lt__, with functools.total_ordering",
    "__div__": "__truediv__",
    "__idiv__": "__itruediv__",
    "__getslice__": "__getitem__",
    "__setslice__": "__setitem__",
    "__delslice__": "__delitem__",
    "__hex__": "__index__",
    "__oct__": "__index__",
    "__long__": "__int__",
    "__metaclass__": "class C(metaclass=M)",
    "__nonzero__": "__bool__",
    "__unicode__": "__str__",
    "next": "__next__",
}
