"""The parameters of the HTTP interface, in queries and headers, as OpenAPI describes them."""

from __future__ import annotations

from typing import Final

from jobx import instants
from jobx.http.openapi.operation import TEXT, Schema, portable_pattern
from jobx.http.reading import filters, headers
from jobx.http.resources import actors, dumps, live, request_views, requests
from jobx.kv.requests.request_filter import CURSOR_PATTERN, MAX_CHARS
from jobx.model import NAME_PATTERN

_NAME: Final = portable_pattern(NAME_PATTERN)


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _header(name: str, description: str, pattern: str) -> Schema:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "schema": schema, "description": description}


#: The setting ``http.max_page`` is its most; see ``document``.
PAGE: Final[Schema] = {"type": "integer", "minimum": 1}
LIMIT: Final = _query("limit", PAGE, "Most entries of this page.")
INVOCATIONS: Final = _query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": requests.MAX_TRACE},
    "Most invocations shown.",
)
AFTER: Final = _query(
    "after", {"type": "string", "pattern": _NAME}, "The cursor `next` of the page before."
)
AFTER_REQUEST: Final = _query(
    "after",
    {"type": "string", "pattern": f"^{CURSOR_PATTERN}$"},
    "The cursor `next` of the page before, which had the same filter.",
)
LAST_EVENT: Final = _header(
    live.EVENT_ID, "The id of the last message that was read.", live.ID_PATTERN
)
SEEN: Final = _query(
    "after", {"type": "string", "pattern": live.ID_PATTERN}, "The same, for a first stream."
)
_WAIT: Final = r"wait=[0-9]{1,9}"
PREFER: Final = _header("Prefer", "`wait=N`: wait N seconds (RFC 7240).", f"^{_WAIT}$")
PREFER_JOB: Final = _header(
    "Prefer", "`respond-async`, or `wait=N` seconds (RFC 7240).", f"^(respond-async|{_WAIT})$"
)
KEY: Final = _header(
    "Idempotency-Key",
    "A repeat with the same key gives the first request.",
    headers.KEY_PATTERN,
)
BLOCKING: Final = _query("blocking", {"type": "boolean"}, "`false`: answer 202 at once.")
_INVOCATION_ID: Final[Schema] = {"type": "string", "pattern": requests.INVOCATION_PATTERN}
OF: Final = _query("of", _INVOCATION_ID, "The mapper whose children are shown; `m0` by default.")
AFTER_RUN: Final = _query("after", TEXT, "The cursor `next` of the page before.")
FROM: Final = _query(
    "from", TEXT, "The first invocation of the page, or the cursor `next` of the page before."
)
INVOCATION_STATE: Final = _query(
    "state", {"enum": list(request_views.STATES)}, "Only invocations in this state."
)
STEP: Final = _query("step", {"type": "string", "pattern": _NAME}, "Only those of this step.")
KIND: Final = _query("kind", {"enum": list(request_views.KINDS)}, "Only those of this kind.")
FROM_AT: Final = _query("from", {"type": "number"}, "Seconds since 1970; by default its start.")
UNTIL_AT: Final = _query("to", {"type": "number"}, "Seconds since 1970; by default its end.")
WIDTH: Final = _query(
    "width",
    {"type": "integer", "minimum": 1, "maximum": request_views.MAX_WIDTH},
    "Most columns, if there are too many bars.",
)


def _several(name: str, items: Schema, description: str) -> Schema:
    """Return a parameter that takes several values with commas between them."""
    schema = {"type": "array", "items": items}
    return _query(name, schema, description) | {"style": "form", "explode": False}


DUMP: Final = (
    _query("format", {"enum": list(dumps.MEDIA_TYPES)}, "How it is written; `ndjson` by default."),
    _query("flat", {"type": "boolean"}, "`true`: the tree alone, as text."),
    _several("state", {"enum": list(request_views.STATES)},
        "Only invocations in these states, with commas between them."),
    _several("step", {"type": "string", "pattern": _NAME},
        "Only those of these steps, with commas between them."),
    _query("below", {"type": "string", "pattern": "^m(0|[1-9][0-9]{0,17})$"},
        "Only this mapper and all below it."),
    _query("attempts", {"type": "integer", "minimum": 1, "maximum": dumps.MAX_ATTEMPTS},
        "Only those tried at least so often."),
    _query("max_value_bytes", {"type": "integer", "minimum": 1, "maximum": dumps.MAX_VALUE_BYTES},
        "Larger values are left out, with a word."),
    _query("redact", {"type": "boolean"}, "`true`: types and sizes of values alone."),
)  # fmt: skip
JOB: Final = _query("job", {"type": "string", "pattern": _NAME}, "Only requests of this job.")
_INSTANT: Final = {"type": "string", "pattern": instants.PATTERN}
FILTER: Final = (
    _query("state", {"enum": list(filters.STATES)}, "Only requests in this state."),
    JOB,
    _query("since", _INSTANT, "Only those accepted then or later: RFC 3339, or `2h` ago."),
    _query("until", _INSTANT, "Only those accepted earlier than that."),
    _query(
        "error",
        {"type": "string", "minLength": 1, "maxLength": MAX_CHARS},
        "Only those that failed with an error of this type.",
    ),
    {
        "name": filters.ARGUMENT,
        "in": "query",
        "style": "form",
        "explode": True,
        "schema": {
            "type": "object",
            "patternProperties": {"^arg[.].": {"type": "string", "maxLength": MAX_CHARS}},
            "additionalProperties": False,
        },
        "description": "`arg.NAME=VALUE`: only those whose argument NAME has this value, which is "
        "JSON or else text. It needs `job`, and the job names NAME in its `search`.",
    },
)
REASON: Final = _query(
    "reason", {"type": "string", "maxLength": requests.MAX_REASON_CHARS}, "Why; shown in views."
)
_NODE_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": actors.MAX_TEXT_CHARS}
_ADDRESS: Final = {
    "type": "string",
    "pattern": "^[^/]+/[0-9]{1,20}/.+$",
    "maxLength": actors.MAX_ADDRESS_CHARS,
}
OTHER_NODE: Final = _query("node", _NODE_TEXT, "Another node of the cluster, which is asked.")
ACTORS: Final = (
    _query("class", _NODE_TEXT, "Only actors of this class."),
    _query("name", _NODE_TEXT, "Only those with this text in their name."),
    _query("state", {"enum": list(actors.STATES)}, "Only those in this state."),
    _query("below", _ADDRESS, "Only those below the actor of this address."),
    OTHER_NODE,
)
ACTOR: Final = {**_query("address", _ADDRESS, "The address of the actor."), "required": True}
TRACED: Final = _query("address", _ADDRESS, "Only the actor of this address.")
ACTOR_LIMIT: Final = _query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": actors.MAX_ACTORS},
    "Most entries of this answer.",
)
AFTER_ACTOR: Final = _query(
    "after",
    {"type": "string", "pattern": "^[0-9a-f]{1,16}-[0-9a-f]{8}$"},
    "The cursor `next` of the page before, which had the same filter.",
)
BY: Final = _query("by", {"enum": list(actors.MEASURES)}, "What they have most of; `time`.")
TRACE_WAIT: Final = _query(
    "wait",
    {"type": "integer", "minimum": 1, "maximum": actors.MAX_TRACE_S},
    "Seconds after which it is answered at the latest.",
)
END_REASON: Final = _query(
    "reason", {"type": "string", "minLength": 1, "maxLength": actors.MAX_REASON_CHARS}, "Why."
)
FORCE: Final = _query("force", {"type": "boolean"}, "`true`: even if it is in use.")
