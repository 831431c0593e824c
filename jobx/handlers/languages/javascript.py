"""Handlers in JavaScript: modules whose ``handler`` runs in a node process of the executor."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from jobx.errors import InvalidInput, Unavailable
from jobx.handlers.failures import Misuse, show_source
from jobx.handlers.languages.base import Checked, Loaded, without_author_code
from jobx.handlers.languages.child_processes import Guests
from jobx.handlers.languages.node_host import NODE, Handler, NodeHost
from jobx.handlers.scope import arguments as args
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.system.errors import translate

Form: TypeAlias = Literal["whole", "pair", "names", "key", "results"]

_CHECK_S: Final = 30.0
#: What is shown of a declaration, and how many functions are looked at for one like it.
_QUOTED: Final = 80
_LOOKED_AT: Final = 100
#: Where comments and strings begin, whose text must not be taken for code. A line comment and a
#: quoted text end with their line at the latest, so those are found whole.
_NOT_CODE: Final = re.compile(
    r"""//[^\n]*|/\*|`|"(?:\\.|[^"\\\n])*+"?|'(?:\\.|[^'\\\n])*+'?""", re.DOTALL
)
_OPEN: Final = {
    "/*": re.compile(r".*?\*/", re.DOTALL),
    "`": re.compile(r"(?:\\.|[^`\\])*+`", re.DOTALL),
}
_NOT_A_LINE: Final = re.compile(r"[^\n]")
#: What a declaration begins with. Nothing is tried in two ways, so this is as fast as it is long.
_DECLARATION: Final = re.compile(
    r"^export\s++(?:default\s++(?:async\s++)?+function\s*+(?P<default>\*?+)\s*+[\w$]*+"
    r"|(?:async\s++)?+function\s*+(?P<named>\*?+)\s*+handler)\s*+\(",
    re.MULTILINE,
)
_FUNCTION: Final = re.compile(
    r"^(?:export\s++)?+(?:default\s++)?+(?:async\s++)?+"
    r"(?:function\b\s*+\*?+|class\b|const\b|let\b)\s*+([\w$]++)",
    re.MULTILINE,
)
#: Something of a body that gives something, or fails.
_GIVES: Final = {
    True: re.compile(r"\b(?:yield|throw|process)\b"),
    False: re.compile(r"\b(?:return|throw|process)\b"),
}
_PARAMETER: Final = re.compile(r"([\w$]+)\s*(=.*)?", re.DOTALL)
_FAULT: Final = re.compile(r":(\d+)\n(.*)\n[\s\S]*?^(\w*Error: .*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Signature:
    """The parameters of a handler, as its text has them."""

    form: Form
    required: tuple[str, ...]
    optional: tuple[str, ...]
    where: str
    text: str
    gives: bool

    @property
    def checked(self) -> Checked:
        names = (*self.required, *self.optional) if self.form == "names" else ()
        return Checked(self.form == "key", names, self.optional)


class JavaScript:
    """The processor for JavaScript."""

    endings = (".js", ".mjs")

    def read(self, source_code: str, handler_type: str) -> Checked:
        """Read the signature of the handler.

        Raises:
            InvalidInput: There is none, or it is not one that is called.
        """
        return _signature(source_code, handler_type).checked

    def check(self, source_code: str, handler_type: str) -> Checked:
        """Check the syntax with node, and the signature, and that it may give something.

        Raises:
            InvalidInput: One is wrong, or node is not installed.
        """
        _check_syntax(source_code)
        signature = _signature(source_code, handler_type)
        if not signature.gives:
            reason = "it gives nothing: yield pairs, or return an iterable of them"
            raise InvalidInput(signature.where, signature.text, reason)
        return signature.checked

    @without_author_code
    def load(self, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        """Make a handler ready to run; the node process loads it when it is first called.

        Raises:
            InvalidInput: It has no signature that is called.
        """
        name, handler_type = handler["name"], handler["handler_type"]
        signature = _signature(handler["source_code"], handler_type)
        show_source(name, handler["source_code"])
        parameters = (*signature.required, *signature.optional)
        known = Handler(
            handler["version"],
            name,
            handler["source_code"],
            signature.form,
            parameters,
            len(signature.required),
            scope,
        )
        host = guests.keep(NodeHost)
        per_key = signature.checked.per_key or handler.get("per_key", False)
        if handler_type != "mapper":
            return Loaded(name, per_key, lambda grouped: host.reduce(known, grouped))
        spec = handler.get("argument_spec") or ()
        return Loaded(name, per_key, _mapper(host, known, signature, spec))


def _mapper(
    host: NodeHost, handler: Handler, signature: _Signature, spec: args.Spec
) -> Callable[[Arguments], Iterator[object]]:
    def run(arguments: Arguments) -> Iterator[object]:
        given = args.cast(arguments, spec, signature.optional) if spec else arguments
        pairs = list(given)
        if signature.form == "names":
            pairs = list(args.bind(given, signature.required, signature.optional).items())
        elif signature.form == "pair" and len(pairs) != 1:
            reason = f"handler(key, value) takes one argument, not {len(pairs)}"
            raise Misuse("arguments", reason)
        return host.map(handler, pairs)

    return run


def _signature(source_code: str, handler_type: str) -> _Signature:
    code = _code_of(source_code)
    found = _DECLARATION.search(code)
    end = code.find(")", found.end()) if found else -1
    if found is None or end < 0:
        raise _undeclared(code)
    where = f"handler source, line {_line(code, found.start())}"
    text = " ".join(code[found.start() : end + 1][:_QUOTED].split())
    parts = [part.strip() for part in code[found.end() : end].split(",") if part.strip()]
    parameters = [_PARAMETER.fullmatch(part) for part in parts]
    required = tuple(p[1] for p in parameters if p and p[2] is None)
    optional = tuple(p[1] for p in parameters if p and p[2] is not None)
    if len(required) + len(optional) < len(parts):
        raise InvalidInput(where, text, "a handler takes plain parameters, with plain defaults")
    if [p[1] for p in parameters if p] != [*required, *optional]:
        raise InvalidInput(where, text, "parameters with a default come last")
    form = _form((*required, *optional), handler_type)
    if form is None or (form != "names" and optional):
        accepted = "(key, values) or (results)"
        raise InvalidInput(where, text, f"a {handler_type} takes {accepted}")
    gives = _GIVES[bool(found["default"] or found["named"])].search(code, end) is not None
    return _Signature(form, required, optional, where, text, gives)


def _undeclared(code: str) -> InvalidInput:
    """Return why a source has no handler, at the nearest thing to one."""
    reason = "must declare `export function* handler(...)` at the start of a line"
    functions = {found[1]: found for found in _FUNCTION.finditer(code)}
    near = difflib.get_close_matches("handler", list(functions)[:_LOOKED_AT], 1, 0.0)
    if not near:
        return InvalidInput("handler source", "no such declaration", reason)
    found = functions[near[0]]
    where = f"handler source, line {_line(code, found.start())}"
    return InvalidInput(where, " ".join(found[0][:_QUOTED].split()), reason)


def _line(code: str, position: int) -> int:
    return code.count("\n", 0, position) + 1


def _form(names: tuple[str, ...], handler_type: str) -> Form | None:
    if handler_type != "mapper":
        forms: dict[int, Form] = {1: "results", 2: "key"}
        return forms.get(len(names))
    if names == ("args",):
        return "whole"
    return "pair" if names == ("key", "value") else "names"


def _code_of(source_code: str) -> str:
    """Return a source with blanks in place of its comments and strings; lines stay."""
    kept: list[str] = []
    position = 0
    unclosed: set[str] = set()
    while (found := _NOT_CODE.search(source_code, position)) is not None:
        start, end = found.start(), _end(source_code, found, unclosed)
        kept += source_code[position:start], _NOT_A_LINE.sub(" ", source_code[start:end])
        position = end
    return "".join((*kept, source_code[position:]))


def _end(source_code: str, found: re.Match[str], unclosed: set[str]) -> int:
    """Return where a comment or string ends, at once when it never does.

    What opens one that is never closed is looked for once: no later one is closed either.
    """
    opened = found[0]
    if opened not in _OPEN or opened in unclosed:
        return found.end()
    closed = _OPEN[opened].match(source_code, found.end())
    if closed is None:
        unclosed.add(opened)
    return found.end() if closed is None else closed.end()


def _checked(node: str, source_code: str) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryDirectory(prefix="jobx-check-") as folder:
        path = Path(folder) / "handler.mjs"
        path.write_text(source_code, encoding="utf-8")
        argv = [node, "--check", str(path)]  # it reads a module and runs nothing of it
        return subprocess.run(argv, capture_output=True, check=False, timeout=_CHECK_S)  # noqa: S603


def _check_syntax(source_code: str) -> None:
    node = shutil.which(NODE)
    if node is None:
        raise InvalidInput("source_type", "javascript", f"{NODE} is not installed on this machine")
    try:
        done = _checked(node, source_code)
    except OSError as error:
        raise translate(error, "the check of a handler") from error
    except subprocess.TimeoutExpired as error:
        raise InvalidInput("source_type", "javascript", f"node cannot check it: {error}") from error
    if done.returncode < 0:
        raise Unavailable(f"the check of a handler was ended by signal {-done.returncode}")
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace")
    fault = _FAULT.search(said)
    line, text, reason = fault.groups() if fault else ("1", "", said[-200:])
    raise InvalidInput(f"handler source, line {line}", text.strip()[:80], reason)
