"""The HTTP interface: every operation, what answers it, and what its description says.

Routes and the OpenAPI document are made from this list.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobx import instants
from jobx.http.reading import filters, headers
from jobx.http.resources import (
    actors,
    admin,
    dumps,
    entities,
    jobs,
    live,
    metrics,
    request_views,
    requests,
)
from jobx.http.resources.site import Responder
from jobx.kv.requests.request_filter import CURSOR_PATTERN, MAX_CHARS
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
#: The kinds of entities, by the names of their schemas.
ENTITIES: Final = ("Workflow", "Job", "Step", "Handler")
REF: Final = "#/components/schemas/{name}"

#: The end of patterns that keeps Python's ``$`` from matching before a last newline.
_ONLY_PYTHON: Final = r"(?!\n)"


def portable_pattern(pattern: str) -> str:
    """Return a pattern of Python as one of JSON Schema; that of names says all that they may be."""
    if pattern == NAME_PATTERN:  # the rest of which ``check_name`` knows
        pattern = f"^(?!.*[.][.]){pattern[1:]}"
    return pattern.removesuffix(_ONLY_PYTHON)


_NAME: Final = portable_pattern(NAME_PATTERN)
_REQUEST: Final = "/request/{workflow}/{request_id}"
_INVOCATION: Final = f"{_REQUEST}/invocation/{{invocation_id}}"
_EVERY: Final = (400, 404, 500, 503, 504)
_BODY: Final = (413, 415, 507)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    Attributes:
        method: In lower case.
        path: In the form of Falcon's router.
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
    respond: Responder
    summary: str
    answers: Mapping[int, Schema | None]
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    problems: tuple[int, ...] = _EVERY
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
    def operation_id(self) -> str:
        """Its name in clients that are generated, such as ``getRequestTrace``."""
        words = [part for part in self.path.split("/") if part and not part.startswith("{")]
        return _IDS.get((self.method, self.path)) or self.method + "".join(map(str.title, words))

    @property
    def query_names(self) -> tuple[str, ...]:
        """The parameters that its query may have."""
        return tuple(one["name"] for one in self.parameters if one["in"] == "query")


def ref(name: str) -> Schema:
    """Return a reference to a schema."""
    return {"$ref": REF.format(name=name)}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _header(name: str, description: str, pattern: str) -> Schema:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "schema": schema, "description": description}


#: The setting ``http.max_page`` is its most; see ``document``.
PAGE: Final[Schema] = {"type": "integer", "minimum": 1}
_LIMIT: Final = _query("limit", PAGE, "Most entries of this page.")
_INVOCATIONS: Final = _query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": requests.MAX_TRACE},
    "Most invocations shown.",
)
_AFTER: Final = _query(
    "after", {"type": "string", "pattern": _NAME}, "The cursor `next` of the page before."
)
_AFTER_REQUEST: Final = _query(
    "after",
    {"type": "string", "pattern": f"^{CURSOR_PATTERN}$"},
    "The cursor `next` of the page before, which had the same filter.",
)
_LAST_EVENT: Final = _header(
    live.EVENT_ID, "The id of the last message that was read.", live.ID_PATTERN
)
_SEEN: Final = _query(
    "after", {"type": "string", "pattern": live.ID_PATTERN}, "The same, for a first stream."
)
_WAIT: Final = r"wait=[0-9]{1,9}"
_PREFER: Final = _header("Prefer", "`wait=N`: wait N seconds (RFC 7240).", f"^{_WAIT}$")
_PREFER_JOB: Final = _header(
    "Prefer", "`respond-async`, or `wait=N` seconds (RFC 7240).", f"^(respond-async|{_WAIT})$"
)
_KEY: Final = _header(
    "Idempotency-Key",
    "A repeat with the same key gives the first request.",
    headers.KEY_PATTERN,
)
_BLOCKING: Final = _query("blocking", {"type": "boolean"}, "`false`: answer 202 at once.")
_INVOCATION_ID: Final[Schema] = {"type": "string", "pattern": requests.INVOCATION_PATTERN}
_OF: Final = _query("of", _INVOCATION_ID, "The mapper whose children are shown; `m0` by default.")
_AFTER_RUN: Final = _query("after", TEXT, "The cursor `next` of the page before.")
_FROM: Final = _query(
    "from", TEXT, "The first invocation of the page, or the cursor `next` of the page before."
)
_INVOCATION_STATE: Final = _query(
    "state", {"enum": list(request_views.STATES)}, "Only invocations in this state."
)
_STEP: Final = _query("step", {"type": "string", "pattern": _NAME}, "Only those of this step.")
_KIND: Final = _query("kind", {"enum": list(request_views.KINDS)}, "Only those of this kind.")
_FROM_AT: Final = _query("from", {"type": "number"}, "Seconds since 1970; by default its start.")
_UNTIL_AT: Final = _query("to", {"type": "number"}, "Seconds since 1970; by default its end.")
_WIDTH: Final = _query(
    "width",
    {"type": "integer", "minimum": 1, "maximum": request_views.MAX_WIDTH},
    "Most columns, if there are too many bars.",
)


def _several(name: str, items: Schema, description: str) -> Schema:
    """Return a parameter that takes several values with commas between them."""
    schema = {"type": "array", "items": items}
    return _query(name, schema, description) | {"style": "form", "explode": False}


_DUMP: Final = (
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
_JOB: Final = _query("job", {"type": "string", "pattern": _NAME}, "Only requests of this job.")
_INSTANT: Final = {"type": "string", "pattern": instants.PATTERN}
_FILTER: Final = (
    _query("state", {"enum": list(filters.STATES)}, "Only requests in this state."),
    _JOB,
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
_REASON: Final = _query(
    "reason", {"type": "string", "maxLength": requests.MAX_REASON_CHARS}, "Why; shown in views."
)
_NODE_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": actors.MAX_TEXT_CHARS}
_ADDRESS: Final = {
    "type": "string",
    "pattern": "^[^/]+/[0-9]{1,20}/.+$",
    "maxLength": actors.MAX_ADDRESS_CHARS,
}
_OTHER_NODE: Final = _query("node", _NODE_TEXT, "Another node of the cluster, which is asked.")
_ACTORS: Final = (
    _query("class", _NODE_TEXT, "Only actors of this class."),
    _query("name", _NODE_TEXT, "Only those with this text in their name."),
    _query("state", {"enum": list(actors.STATES)}, "Only those in this state."),
    _query("below", _ADDRESS, "Only those below the actor of this address."),
    _OTHER_NODE,
)
_ACTOR: Final = {**_query("address", _ADDRESS, "The address of the actor."), "required": True}
_TRACED: Final = _query("address", _ADDRESS, "Only the actor of this address.")
_ACTOR_LIMIT: Final = _query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": actors.MAX_ACTORS},
    "Most entries of this answer.",
)
_AFTER_ACTOR: Final = _query(
    "after",
    {"type": "string", "pattern": "^[0-9a-f]{1,16}-[0-9a-f]{8}$"},
    "The cursor `next` of the page before, which had the same filter.",
)
_BY: Final = _query("by", {"enum": list(actors.MEASURES)}, "What they have most of; `time`.")
_TRACE_WAIT: Final = _query(
    "wait",
    {"type": "integer", "minimum": 1, "maximum": actors.MAX_TRACE_S},
    "Seconds after which it is answered at the latest.",
)
_END_REASON: Final = _query(
    "reason", {"type": "string", "minLength": 1, "maxLength": actors.MAX_REASON_CHARS}, "Why."
)
_FORCE: Final = _query("force", {"type": "boolean"}, "`true`: even if it is in use.")
_BROKEN: Final[Schema] = {
    "type": "object",
    "required": ["broken"],
    "properties": {"broken": {"type": "array", "items": {"type": "string"}}},
}
_RESULT_HEADERS: Final = {
    "X-MR-REQUEST-ID": "The request.",
    "X-FULFILLED-BY": "The host that answered.",
}


def operations() -> list[Operation]:
    """Return every operation."""
    own = [*_job_operations(), *_request_operations(), *_admin_operations(), *_actor_operations()]
    own.append(
        Operation(
            "get", "/workflow/{workflow}/handler/{name}/versions", entities.versions,
            "The versions of a handler that are still there, the last written first",
            {200: _page("Handler")}, has_tag=True,
        )
    )  # fmt: skip
    return own + [operation for kind in ENTITIES for operation in _entity_operations(kind)]


def _job_operations() -> list[Operation]:
    return [
        Operation(
            "post", "/job/{workflow}/{job}", jobs.post, "Run a job and get its reduced result",
            {200: ref("Result"), 202: ref("RequestView")}, (_BLOCKING, _PREFER_JOB, _KEY),
            ref("JobBody"), (*_EVERY, *_BODY, 406, 409, 422), _RESULT_HEADERS,
        )
    ]  # fmt: skip


def _request_operations() -> list[Operation]:
    view, page, result = ref("RequestView"), ref("RequestPage"), ref("Result")
    tree, node = ref("TraceView"), ref("TraceNode")
    get = functools.partial(Operation, "get")
    return [
        get("/request/{workflow}", requests.list_page, "List requests, newest first",
            {200: page}, (*_FILTER, _LIMIT, _AFTER_REQUEST)),
        get("/request/{workflow}/counts", requests.count, "How many requests are in each state",
            {200: ref("RequestCounts")}, (_JOB,)),
        get(_REQUEST, requests.read, "The state of a request; its graph if a picture is preferred",
            {200: view}, has_tag=True),
        Operation("delete", _REQUEST, requests.cancel, "Cancel a request and all of its tree",
            {200: view, 202: view}, (_REASON,)),
        get(f"{_REQUEST}/result", requests.result, "The result or failure of a request",
            {200: result}, (_PREFER,), problems=(*_EVERY, 406, 409), has_tag=True),
        Operation("post", f"{_REQUEST}/delivery", requests.deliver,
            "Deliver the result again, under the same delivery id",
            {202: view}, problems=(*_EVERY, 409)),
        get(f"{_REQUEST}/explain", requests.explain,
            "What the open invocations of a request wait for, or why it ended",
            {200: ref("ExplainView")}),
        get(f"{_REQUEST}/dump", dumps.dump, "Every invocation with all that is known of it",
            {200: LINES}, _DUMP),
        get(f"{_REQUEST}/summary", request_views.summary,
            "What a request has done: counts by step, failures in groups",
            {200: ref("SummaryView")}, has_tag=True),
        get(f"{_REQUEST}/tree", request_views.tree,
            "The children of a mapper, in runs of one state",
            {200: ref("TreePage")}, (_OF, _AFTER_RUN, _LIMIT), has_tag=True),
        get(f"{_REQUEST}/invocations", request_views.invocations, "The invocations of a request",
            {200: ref("InvocationPage")}, (_INVOCATION_STATE, _STEP, _KIND, _FROM, _LIMIT),
            has_tag=True),
        get(f"{_REQUEST}/timeline", request_views.timeline,
            "What ran when: bars, or columns if there are more than 10,000",
            {200: ref("TimelineView")}, (_FROM_AT, _UNTIL_AT, _WIDTH), has_tag=True),
        get(f"{_REQUEST}/trace", requests.trace, "The tree of invocations",
            {200: tree}, (_INVOCATIONS,)),
        get(f"{_REQUEST}/events", requests.events,
            "What happens to a request, as server-sent events; 204 after its end",
            {200: EVENTS, 204: None}, (_LAST_EVENT, _SEEN)),
        get(_INVOCATION, requests.invocation, "One invocation", {200: node}),
        get(f"{_INVOCATION}/output", requests.output, "What an invocation wrote and logged",
            {200: TEXT}),
        get(f"{_REQUEST}/graph", requests.graph, "The tree of invocations, drawn",
            {200: PICTURE}, problems=(*_EVERY, 406)),
    ]  # fmt: skip


def _entity_operations(kind: str) -> list[Operation]:
    name, entity = kind.lower(), {200: ref(kind)}
    root = "/workflow" if kind == "Workflow" else f"/workflow/{{workflow}}/{name}"
    one = f"{root}/{{workflow}}" if kind == "Workflow" else f"{root}/{{name}}"
    changed = (*_EVERY, *_BODY, 409)

    def of(respond: Responder) -> Responder:
        return functools.partial(respond, name)

    return [
        Operation("get", root, of(entities.list_page), f"List: {name}",
            {200: _page(kind)}, (_LIMIT, _AFTER), has_tag=True),
        Operation("post", root, of(entities.create), f"Create a {name}",
            {201: ref(kind)}, body=ref(f"New{kind}"), problems=changed),
        Operation("get", one, of(entities.read), f"Read a {name}", entity, has_tag=True),
        Operation("put", one, of(entities.put), f"Create or replace a {name}",
            entity, body=ref(f"{kind}Fields"), problems=changed),
        Operation("delete", one, of(entities.delete),
            f"Delete a {name}; by force, and what that broke",
            {200: _BROKEN, 204: None}, (_FORCE,), problems=(*_EVERY, 409)),
    ]  # fmt: skip


def _page(kind: str) -> Schema:
    entities = {"type": "array", "items": ref(kind)}
    return {
        "type": "object",
        "required": ["entities", "next"],
        "properties": {"entities": entities, "next": {"type": ["string", "null"]}},
    }


def _admin_operations() -> list[Operation]:
    health, anything = {200: ref("Health")}, {200: {"type": "object"}}
    get = functools.partial(Operation, "get")
    return [
        get("/", admin.root, "One line for people", {200: TEXT}, problems=(400,)),
        get("/health/live", admin.live, "The web worker lives", health),
        get("/health/ready", admin.ready, "The node takes requests", health),
        get("/node", admin.node_status, "The node", {200: ref("NodeView")}),
        get("/actors", admin.actors, "The live actors", {200: ref("ActorTree")}),
        get("/metrics", metrics.scrape, "Metrics of the node, as text for Prometheus",
            {200: TEXT}),
        get("/openapi.json", admin.description, "This document", anything, has_tag=True),
    ]  # fmt: skip


def _actor_operations() -> list[Operation]:
    get, post = functools.partial(Operation, "get"), functools.partial(Operation, "post")
    told, changes = {200: ref("ActorTold")}, (*_EVERY, 409)
    return [
        get("/actors/summary", actors.summary, "The actors by class; slow handlers, stalls",
            {200: ref("ActorSummary")}, (_OTHER_NODE,)),
        get("/actors/list", actors.list_page, "The actors that a filter lets through, oldest first",
            {200: ref("ActorPage")}, (*_ACTORS, _ACTOR_LIMIT, _AFTER_ACTOR)),
        get("/actors/top", actors.top, "The actors with most of something",
            {200: ref("ActorPage")}, (*_ACTORS, _BY, _ACTOR_LIMIT)),
        get("/actors/show", actors.show, "One actor, with its parents and its mail",
            {200: ref("ActorDetail")}, (_ACTOR, _OTHER_NODE)),
        get("/actors/trace", actors.trace, "What actors handle from now on: types and sizes",
            {200: ref("ActorTrace")}, (_TRACED, *_ACTORS, _TRACE_WAIT, _ACTOR_LIMIT)),
        get("/actors/dead-letters", actors.dead_letters, "The last messages that nobody has read",
            {200: ref("DeadLetterPage")}, (_OTHER_NODE,)),
        get("/actors/dump", actors.dump, "All actors: JSON, or `Accept: text/plain`, or DOT",
            {200: ref("ActorDump")}, (_OTHER_NODE,), problems=(*_EVERY, 406)),
        post("/actors/stop", actors.stop, "Stop an actor: its request or its attempt ends",
            told, (_ACTOR, _END_REASON, _OTHER_NODE), problems=changes),
        post("/actors/restart", actors.restart, "Start an actor again; nothing is lost",
            told, (_ACTOR, _END_REASON, _OTHER_NODE), problems=changes),
    ]  # fmt: skip


def _entity_ids() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for kind in ENTITIES:
        name = kind.lower()
        root = "/workflow" if kind == "Workflow" else f"/workflow/{{workflow}}/{name}"
        one = f"{root}/{{workflow}}" if kind == "Workflow" else f"{root}/{{name}}"
        found |= {
            ("get", root): f"list{kind}s",
            ("post", root): f"create{kind}",
            ("get", one): f"get{kind}",
            ("put", one): f"put{kind}",
            ("delete", one): f"delete{kind}",
        }
    return found


_IDS: Final = _entity_ids() | {
    ("post", "/job/{workflow}/{job}"): "runJob",
    ("get", "/workflow/{workflow}/handler/{name}/versions"): "listVersions",
    ("get", "/request/{workflow}"): "listRequests",
    ("get", "/request/{workflow}/counts"): "countRequests",
    ("get", _REQUEST): "getRequest",
    ("delete", _REQUEST): "cancelRequest",
    ("get", f"{_REQUEST}/result"): "getResult",
    ("post", f"{_REQUEST}/delivery"): "deliverResult",
    ("get", f"{_REQUEST}/trace"): "getTrace",
    ("get", f"{_REQUEST}/graph"): "drawGraph",
    ("get", f"{_REQUEST}/dump"): "dumpRequest",
    ("get", f"{_REQUEST}/explain"): "explainRequest",
    ("get", f"{_REQUEST}/summary"): "getSummary",
    ("get", f"{_REQUEST}/tree"): "getTree",
    ("get", f"{_REQUEST}/invocations"): "listInvocations",
    ("get", f"{_REQUEST}/timeline"): "getTimeline",
    ("get", f"{_REQUEST}/events"): "watchRequest",
    ("get", _INVOCATION): "getInvocation",
    ("get", f"{_INVOCATION}/output"): "getOutput",
    ("get", "/"): "getRoot",
    ("get", "/health/live"): "getLiveness",
    ("get", "/health/ready"): "getReadiness",
    ("get", "/node"): "getNode",
    ("get", "/metrics"): "getMetrics",
    ("get", "/actors"): "getActorTree",
    ("get", "/actors/summary"): "getActorSummary",
    ("get", "/actors/list"): "listActors",
    ("get", "/actors/top"): "topActors",
    ("get", "/actors/show"): "getActor",
    ("get", "/actors/trace"): "traceActors",
    ("get", "/actors/dead-letters"): "listDeadLetters",
    ("get", "/actors/dump"): "dumpActors",
    ("post", "/actors/stop"): "stopActor",
    ("post", "/actors/restart"): "restartActor",
    ("get", "/openapi.json"): "getDescription",
}
