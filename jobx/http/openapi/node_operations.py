"""The operations of a node: its health, its numbers, its actors."""

from __future__ import annotations

import functools

from jobx.http.openapi import parameters as given
from jobx.http.openapi.operation import EVERY, TEXT, Operation, ref
from jobx.http.resources import actors, admin, metrics

_get = functools.partial(Operation, "get")
_post = functools.partial(Operation, "post")


def node_operations() -> list[Operation]:
    """Return what is asked of a node itself."""
    return [*_of_node(), *_of_actors()]


def _of_node() -> list[Operation]:
    health, anything = {200: ref("Health")}, {200: {"type": "object"}}
    return [
        _get("/", "getRoot", admin.root, "One line for people", {200: TEXT}, problems=(400,)),
        _get("/health/live", "getLiveness", admin.live, "The web worker lives", health),
        _get("/health/ready", "getReadiness", admin.ready, "The node takes requests", health),
        _get("/node", "getNode", admin.node_status, "The node", {200: ref("NodeView")}),
        _get("/node/notifications", "listNotifications", admin.notifications,
            "The last notifications: what was told, to whom, what is tried again",
            {200: ref("NotificationPage")}),
        _get("/actors", "getActorTree", admin.actors, "The live actors", {200: ref("ActorTree")}),
        _get("/metrics", "getMetrics", metrics.scrape,
            "Metrics of the node, as text for Prometheus",
            {200: TEXT}),
        _get("/openapi.json", "getDescription", admin.description,
            "This document",
            anything, has_tag=True),
    ]  # fmt: skip


def _of_actors() -> list[Operation]:
    told, changes = {200: ref("ActorTold")}, (*EVERY, 409)
    return [
        _get("/actors/summary", "getActorSummary", actors.summary,
            "The actors by class; slow handlers, stalls",
            {200: ref("ActorSummary")}, (given.OTHER_NODE,)),
        _get("/actors/list", "listActors", actors.list_page,
            "The actors that a filter lets through, oldest first",
            {200: ref("ActorPage")}, (*given.ACTORS, given.ACTOR_LIMIT, given.AFTER_ACTOR)),
        _get("/actors/top", "topActors", actors.top,
            "The actors with most of something",
            {200: ref("ActorPage")}, (*given.ACTORS, given.BY, given.ACTOR_LIMIT)),
        _get("/actors/show", "getActor", actors.show,
            "One actor, with its parents and its mail",
            {200: ref("ActorDetail")}, (given.ACTOR, given.OTHER_NODE)),
        _get("/actors/trace", "traceActors", actors.trace,
            "What actors handle from now on: types and sizes",
            {200: ref("ActorTrace")},
            (given.TRACED, *given.ACTORS, given.TRACE_WAIT, given.ACTOR_LIMIT)),
        _get("/actors/dead-letters", "listDeadLetters", actors.dead_letters,
            "The last messages that nobody has read",
            {200: ref("DeadLetterPage")}, (given.OTHER_NODE,)),
        _get("/actors/dump", "dumpActors", actors.dump,
            "All actors: JSON, or `Accept: text/plain`, or DOT",
            {200: ref("ActorDump")}, (given.OTHER_NODE,), problems=(*EVERY, 406)),
        _post("/actors/stop", "stopActor", actors.stop,
            "Stop an actor: its request or its attempt ends",
            told, (given.ACTOR, given.END_REASON, given.OTHER_NODE), problems=changes),
        _post("/actors/restart", "restartActor", actors.restart,
            "Start an actor again; nothing is lost",
            told, (given.ACTOR, given.END_REASON, given.OTHER_NODE), problems=changes),
    ]  # fmt: skip
