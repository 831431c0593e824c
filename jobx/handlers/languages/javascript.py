"""Handlers in JavaScript: modules whose ``handler`` runs in a node process of the executor.

That process is a program of the line protocol for all handlers, ``node/prelude.mjs``.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from jobx.errors import InvalidInput
from jobx.handlers.failures import GuestFailed
from jobx.handlers.languages import lines
from jobx.handlers.languages.answer import ProgramAnswer
from jobx.handlers.languages.base import Checked, Grouped, Loaded, without_author_code
from jobx.handlers.languages.checker import complaint
from jobx.handlers.languages.guests import Guests
from jobx.handlers.languages.javascript_source import Signature, signature
from jobx.handlers.languages.program import Program
from jobx.handlers.pairs.checking import snapshot
from jobx.handlers.scope import arguments as args
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import filename, show_source
from jobx.system.errors import translated
from jobx.values import Value

#: The program that runs JavaScript.
NODE: Final = "node"
_PRELUDE: Final = Path(__file__).with_name("node") / "prelude.mjs"
#: What the prelude asks for when it is called with a handler that it has not loaded.
_SOURCE: Final = "handler source"
#: Names that the prelude has for itself.
_ITS_OWN: Final = frozenset(
    {
        *("Map", "MrConfigureToMap", "MrConfigureToReturn", "Return"),
        *("LOG", "PRINT", "REQUEST", "INVOCATION"),
    }
)
_FAULT: Final = re.compile(r":(\d+)\n(.*)\n[\s\S]*?^(\w*Error: .*)$", re.MULTILINE)


class JavaScript:
    """The processor for JavaScript."""

    endings = (".js", ".mjs")

    def read(self, source_code: str, handler_type: str) -> Checked:
        """Read the signature of the handler.

        Raises:
            InvalidInput: There is none, or it is not one that is called.
        """
        return signature(source_code, handler_type).checked

    def check(self, source_code: str, handler_type: str) -> Checked:
        """Check the syntax with node, and the signature, and that it may give something.

        Raises:
            InvalidInput: One is wrong, or node is not installed.
        """
        _check_syntax(source_code)
        found = signature(source_code, handler_type)
        if not found.gives:
            reason = "it gives nothing: yield pairs, or return an iterable of them"
            raise InvalidInput(found.where, found.text, reason)
        return found.checked

    @without_author_code
    def load(self, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        """Make a handler ready to run; the node process loads it when it is first called.

        Raises:
            InvalidInput: It has no signature that is called.
        """
        name, is_mapper = handler["name"], handler["handler_type"] == "mapper"
        found = signature(handler["source_code"], handler["handler_type"])
        show_source(filename(name), handler["source_code"])
        spec = handler.get("argument_spec") or ()
        known = _LoadedHandler(handler, found, spec, scope, guests.folder, guests.keep(_program))
        per_key = found.checked.per_key or handler.get("per_key", False)
        return Loaded(name, per_key, known.map if is_mapper else known.reduce)


def _program(guests: Guests) -> Program:
    return Program(guests, [NODE, str(_PRELUDE)], NODE, str(_PRELUDE), restores=True)


@dataclass(frozen=True, slots=True)
class _LoadedHandler:
    """A handler, and the program that runs it."""

    fields: Mapping[str, Any]
    signature: Signature
    spec: args.Spec
    scope: Scope
    folder: str
    program: Program

    def map(self, arguments: Arguments) -> Iterable[object]:
        """Run a mapper; one that maps on is read to its end first."""
        given = self._given(arguments)
        return lines.held(self._run(ProgramAnswer(self.scope), lambda: [self._call(given)]))

    def reduce(self, grouped: Grouped) -> Iterator[object]:
        """Run a combiner or reducer."""
        answer = ProgramAnswer(self.scope, grouped)
        return self._run(answer, lambda: chain([self._call({})], lines.keys(grouped)))

    def _run(self, answer: ProgramAnswer, call: Callable[[], Iterable[bytes]]) -> Iterator[object]:
        answer.offers[_SOURCE] = self._source
        with closing(self.program.talk(self.scope, call, answer)) as written:
            yield from answer.yielded(written)
        if not answer.has_ended:
            raise GuestFailed("crash", "GuestCrashed", f"{NODE} ended with code 0")

    def _call(self, given: Mapping[str, Value]) -> bytes:
        return lines.call(self.scope, {"handler": self.fields["version"], **given})

    def _given(self, arguments: Arguments) -> dict[str, Value]:
        """Return what a mapper is given as its function takes it."""
        found = self.signature
        given = args.cast(arguments, self.spec, found.optional) if self.spec else arguments
        if found.form == "names":
            return {"arguments": args.bind(given, found.required, found.optional)}
        if found.form == "pair":
            key, value = given.only_pair()
            return {"key": key, "value": value}
        return lines.of_mapper(given)

    def _source(self) -> dict[str, Value]:
        """Put the source where node finds it; return what the prelude must know of it."""
        path = Path(self.folder, f"handler-{self.fields['version']}.mjs")
        path.write_text(self.fields["source_code"], encoding="utf-8")
        found = self.signature
        return {
            "path": str(path),
            "url": path.absolute().as_uri(),
            "form": found.form,
            "parameters": [*found.required, *found.optional],
            "required": len(found.required),
            "names": self._names(),
        }

    def _names(self) -> dict[str, Value]:
        """Return the names of the scope, with their values; the rest are called here."""
        names = self.scope.names(self.fields["name"])
        return {
            name: _meaning(thing)
            for name, thing in names.items()
            if name not in _ITS_OWN and not name.startswith("_")
        }


def _meaning(thing: object) -> dict[str, Value]:
    try:
        return {"value": snapshot(thing)}
    except ValueError:
        return {}


def _check_syntax(source_code: str) -> None:
    node = shutil.which(NODE)
    if node is None:
        raise InvalidInput("source_type", "javascript", f"{NODE} is not installed on this machine")
    with (
        translated("the check of a handler"),
        tempfile.TemporaryDirectory(prefix="jobx-check-") as folder,
    ):
        path = Path(folder) / "handler.mjs"
        path.write_text(source_code, encoding="utf-8")
        said = complaint([node, "--check", str(path)])
    if said:
        fault = _FAULT.search(said)
        line, text, reason = fault.groups() if fault else ("1", "", said[-200:])
        raise InvalidInput(f"handler source, line {line}", text.strip()[:80], reason)
