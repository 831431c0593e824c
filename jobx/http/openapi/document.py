"""The OpenAPI 3.1 document of the HTTP interface, generated from its types."""

from __future__ import annotations

from typing import Any, Final

import msgspec

import jobx
from jobx import model, views
from jobx.config_sections import HttpSettings
from jobx.http.errors import MEDIA_PROBLEM, Problem
from jobx.http.openapi.entity_operations import ENTITIES
from jobx.http.openapi.operation import (
    EVENTS,
    LINES,
    PICTURE,
    REF,
    TEXT,
    Operation,
    Schema,
    portable_pattern,
    ref,
)
from jobx.http.openapi.operations import operations
from jobx.http.openapi.parameters import PAGE
from jobx.http.resources import graphs, requests
from jobx.http.resources.admin import Health
from jobx.http.resources.jobs import JobBody
from jobx.http.writing.event_stream import MEDIA_EVENTS
from jobx.http.writing.media import MEDIA_JSON, MEDIA_MSGPACK, MEDIA_NDJSON

_PROBLEMS: Final = {
    400: "Something in the request is wrong; the detail names it.",
    404: "The address names something that does not exist.",
    406: "The client accepts none of the media types.",
    409: "It exists already, is in use, is still running or was cancelled.",
    413: "The body is larger than http.max_body_bytes.",
    415: "The media type or encoding of the body is not supported.",
    422: "The Idempotency-Key belongs to a request with another body.",
    500: "The handler raised (X-MR-EXCEPTION-TYPE, -MESSAGE), or JobX failed (error_id).",
    503: "Try again after Retry-After seconds.",
    504: "It took too long.",
    507: "The store is full or cannot be written.",
}


#: The types that the document describes.
_SHOWN: Final = (
    Problem,
    JobBody,
    Health,
    *(views.ActorTree, views.RequestView, views.RequestPage, views.TraceView, views.NodeView),
    *(views.ExplainView, views.SummaryView, views.TreePage, views.InvocationPage),
    *(views.TimelineView, views.RequestCounts, views.WatchView),
    *(views.ActorSummary, views.ActorPage, views.ActorDetail, views.ActorTrace),
    views.NotificationPage,
    *(views.DeadLetterPage, views.ActorDump, views.ActorTold),
    *(model.Workflow, model.Job, model.Step, model.Handler),
)


def document(settings: HttpSettings) -> Schema:
    """Return the OpenAPI document as plain values, with the limits of these settings."""
    _, schemas = msgspec.json.schema_components(_SHOWN, ref_template=REF)
    schemas |= {f"{kind}Fields": _fields(schemas[kind]) for kind in ENTITIES}
    schemas |= {f"New{kind}": _fields(schemas[kind], is_new=True) for kind in ENTITIES}
    schemas["Result"] = _RESULT
    paths: dict[str, Schema] = {}
    for operation in operations():
        described = _described(operation, settings)
        paths.setdefault(operation.path, {})[operation.method] = described
    schemas = _portable(schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "JobX",
            "version": jobx.__version__,
            "description": "Map/reduce jobs over HTTP. Errors are problem documents (RFC 9457).",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas},
    }


_RESULT: Final[Schema] = {
    "title": "Result",
    "description": "Pairs in key order; or none, and where they are delivered. What JSON lacks is "
    "tagged: $bytes, $float, $decimal, $timestamp, $map.",
    "type": "object",
    "required": ["result"],
    "properties": {
        "result": {
            "type": "object",
            "properties": {
                "pairs": {"type": "array", "items": {"type": "array", "minItems": 2, "maxItems": 2}}
            },
        },
        "delivery": ref("Delivery"),
    },
}


def _portable(schema: Any) -> Any:
    """Return a schema with patterns that mean the same in JSON Schema as in Python."""
    if isinstance(schema, dict):
        return {
            key: portable_pattern(text) if key == "pattern" else _portable(text)
            for key, text in schema.items()
        }
    return [_portable(one) for one in schema] if isinstance(schema, list) else schema


def _fields(schema: Schema, *, is_new: bool = False) -> Schema:
    """Return an entity's schema without the names from the address, which may be repeated there.

    Args:
        schema: That of the entity.
        is_new: The address has not its own name yet.
    """
    kind = schema["title"]
    own = f"{kind.lower()}_name"
    names = {"workflow_name", own} - ({own} if is_new else set())
    properties = {name: one for name, one in schema["properties"].items() if name not in names}
    return {
        **schema,
        "title": f"New{kind}" if is_new else f"{kind}Fields",
        "description": "The names of the address may be given here too, if they are the same.",
        "properties": properties,
        "required": [name for name in schema["required"] if name not in names],
    }


_TAGS: Final = {
    "job": "Jobs: run them, and set them up.",
    "request": "Requests: their state, result, trace and graph.",
    "workflow": "Workflows, which hold jobs, steps and handlers.",
    "step": "Steps, which bind handlers.",
    "handler": "Handlers: code of authors.",
    "node": "The node that answers.",
}


def _described(operation: Operation, settings: HttpSettings) -> Schema:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [_with_most(one, settings) for one in operation.parameters]
    described: Schema = {
        "summary": operation.summary,
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "parameters": [*map(_path_parameter, names), *parameters],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": _content(operation.body, MEDIA_JSON, MEDIA_MSGPACK),
        }
    return described


def _with_most(parameter: Schema, settings: HttpSettings) -> Schema:
    if parameter["schema"] is not PAGE:
        return parameter
    return {**parameter, "schema": {**PAGE, "maximum": settings.max_page}}


def _path_parameter(name: str) -> Schema:
    pattern = {"request_id": requests.ID_PATTERN, "invocation_id": requests.INVOCATION_PATTERN}
    schema = {"type": "string", "pattern": pattern.get(name, _NAME)}
    return {"name": name, "in": "path", "required": True, "schema": schema}


_NAME: Final = portable_pattern(model.NAME_PATTERN)


def _responses(operation: Operation) -> Schema:
    responses: Schema = {
        str(status): _response(operation, status, schema)
        for status, schema in operation.answers.items()
    }
    for status in sorted(operation.problems):
        content = _content(ref("Problem"), MEDIA_PROBLEM)
        responses[str(status)] = {"description": _PROBLEMS[status], "content": content}
    return responses


def _response(operation: Operation, status: int, schema: Schema | None) -> Schema:
    response: Schema = {"description": operation.summary}
    if schema is not None:
        response["content"] = _content(schema, *_media_types(schema))
    headers = dict(operation.headers)
    if status in (201, 202):
        headers["Location"] = "The location of what was created or started."
    if headers:
        text = {"type": "string"}
        response["headers"] = {
            name: {"description": words, "schema": text} for name, words in headers.items()
        }
    return response


def _media_types(schema: Schema) -> tuple[str, ...]:
    if schema == TEXT:
        return ("text/plain",)
    if schema == LINES:
        return (MEDIA_NDJSON, MEDIA_JSON, "text/plain")
    if schema == EVENTS:
        return (MEDIA_EVENTS,)
    if schema == ref("Result"):
        return (MEDIA_JSON, MEDIA_NDJSON, MEDIA_MSGPACK)
    return tuple(graphs.MEDIA) if schema == PICTURE else (MEDIA_JSON,)


def _content(schema: Schema, *media_types: str) -> Schema:
    return {media_type: {"schema": schema} for media_type in media_types}
