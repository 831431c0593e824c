"""What an operation of the HTTP interface is: a method of an address, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobx.http.resources.site import Responder
from jobx.model import NAME_PATTERN

Schema = dict[str, Any]

#: Schema of a picture.
PICTURE: Final[Schema] = {"type": "string", "format": "binary"}
#: Schema of server-sent events.
EVENTS: Final[Schema] = {"type": "string", "format": "event-stream"}
#: Schema of a dump, one JSON document a line unless its format is another.
LINES: Final[Schema] = {"type": "string", "format": "ndjson"}
#: Schema of plain text.
TEXT: Final[Schema] = {"type": "string"}
REF: Final = "#/components/schemas/{name}"
#: Statuses of problem documents: of every operation, and of those that read a body.
EVERY: Final = (400, 404, 500, 503, 504)
BODY: Final = (413, 415, 507)

#: The end of patterns that keeps Python's ``$`` from matching before a last newline.
_ONLY_PYTHON: Final = r"(?!\n)"


def portable_pattern(pattern: str) -> str:
    """Return a pattern of Python as one of JSON Schema; that of names says all that they may be."""
    if pattern == NAME_PATTERN:  # the rest of which ``check_name`` knows
        pattern = f"^(?!.*[.][.]){pattern[1:]}"
    return pattern.removesuffix(_ONLY_PYTHON)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    Attributes:
        method: In lower case.
        path: In the form of Falcon's router.
        operation_id: Its name in clients that are generated.
        respond: What answers.
        summary: One line.
        answers: Schema by status, None for no body.
        parameters: In addition to those in the path.
        body: Schema of the request body, if any.
        problems: Statuses of problem documents.
        headers: Headers of the answers, with their meaning.
        has_tag: Its answers have entity tags.
    """

    method: str
    path: str
    operation_id: str
    respond: Responder
    summary: str
    answers: Mapping[int, Schema | None]
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    problems: tuple[int, ...] = EVERY
    headers: dict[str, str] = field(default_factory=dict)
    has_tag: bool = False

    @property
    def tag(self) -> str:
        """What it is about: the group of the description that it belongs to."""
        fixed = [part for part in self.path.split("/") if part and not part.startswith("{")]
        kinds = {"job", "step", "handler"}
        if fixed[:1] == ["workflow"]:
            return fixed[1] if len(fixed) > 1 and fixed[1] in kinds else "workflow"
        return fixed[0] if fixed[:1] in (["job"], ["request"]) else "node"

    @property
    def query_names(self) -> tuple[str, ...]:
        """The parameters that its query may have."""
        return tuple(one["name"] for one in self.parameters if one["in"] == "query")


def ref(name: str) -> Schema:
    """Return a reference to a schema."""
    return {"$ref": REF.format(name=name)}
