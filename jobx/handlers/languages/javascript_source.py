"""What the text of a handler in JavaScript says: its declaration, and whether it may give pairs."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jobx.errors import InvalidInput
from jobx.handlers.languages.base import Checked

ParameterForm: TypeAlias = Literal["whole", "pair", "names", "key", "results"]

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


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a handler, as its text has them."""

    form: ParameterForm
    required: tuple[str, ...]
    optional: tuple[str, ...]
    where: str
    text: str
    gives: bool

    @property
    def checked(self) -> Checked:
        """What all languages tell of a handler."""
        names = (*self.required, *self.optional) if self.form == "names" else ()
        return Checked(self.form == "key", names, self.optional)


def signature(source_code: str, handler_type: str) -> Signature:
    """Read the declaration of a handler.

    Raises:
        InvalidInput: There is none, or it is not one that is called.
    """
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
    return Signature(form, required, optional, where, text, gives)


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


def _form(names: tuple[str, ...], handler_type: str) -> ParameterForm | None:
    if handler_type != "mapper":
        forms: dict[int, ParameterForm] = {1: "results", 2: "key"}
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
