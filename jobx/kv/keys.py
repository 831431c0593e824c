"""The key space: every key is built here.

    entities/<class>/<workflow>[/<name>]      entities, JSON
    entities_state                            changes with every change of an entity
    code/<workflow>/<version>                 handlers by content, kept while a request needs them
    plans/<workflow>/<hash>                   steps and handler versions by content
    requests/<workflow>/<id>/log/<n>          the events of a request
    open/<node>/<workflow>/<id>               requests that a node coordinates
    finished/<finished_at>/<workflow>/<id>    finished requests in the order they expire
    deliveries/<workflow>/<id>                how far a result is on its way, JSON
    undelivered/<node>/<workflow>/<id>        deliveries that a node works off
    idempotency/<workflow>/<job>/<key>        the request that a client's key stands for
    queues/<workflow>/<name>[/<n>]            a queue collection and its items, JSON
    entity_trees/<workflow>/<name>[/<child>]  a tree collection and its children, JSON

Names are checked before they get here (``model.check_name``) and hold no ``/``.
"""

from __future__ import annotations

import hashlib
from typing import Final

ENTITIES_STATE: Final = "entities_state"
OPEN: Final = "open/"
FINISHED: Final = "finished/"
#: Nobody writes it; deleting it shows whether anything can be written.
PROBE: Final = "probe"


def workflow(name: str) -> str:
    """Return the key of a workflow."""
    return f"entities/workflow/{name}"


def entity(kind: str, workflow_name: str, name: str) -> str:
    """Return the key of a job, step, handler or request."""
    return f"entities/{kind}/{workflow_name}/{name}"


def entities(kind: str, workflow_name: str | None = None) -> str:
    """Return the prefix of all entities of a class (of a workflow)."""
    if workflow_name is None:
        return f"entities/{kind}/"
    return f"entities/{kind}/{workflow_name}/"


def code(workflow_name: str, version: str) -> str:
    """Return the key of a handler by its content."""
    return f"code/{workflow_name}/{version}"


def plan(workflow_name: str, digest: str) -> str:
    """Return the key of a plan by its content."""
    return f"plans/{workflow_name}/{digest}"


def log(workflow_name: str, request_id: str) -> str:
    """Return the prefix of a request's log."""
    return f"requests/{workflow_name}/{request_id}/log/"


def event(workflow_name: str, request_id: str, number: int) -> str:
    """Return the key of event ``number`` (from 0) of a request."""
    return f"requests/{workflow_name}/{request_id}/log/{number:010d}"


def opened(node_id: str, workflow_name: str, request_id: str) -> str:
    """Return the key that says that a node coordinates a request."""
    return f"open/{node_id}/{workflow_name}/{request_id}"


def finished(finished_at: float, workflow_name: str, request_id: str) -> str:
    """Return the key under which the janitor finds a finished request, oldest first."""
    return f"finished/{int(finished_at * 1000):015d}/{workflow_name}/{request_id}"


def delivery(workflow_name: str, request_id: str) -> str:
    """Return the key of the delivery of a request's result."""
    return f"deliveries/{workflow_name}/{request_id}"


def undelivered(node_id: str, workflow_name: str = "", request_id: str = "") -> str:
    """Return the key that says that a node works a delivery off; its prefix without a request."""
    return f"undelivered/{node_id}/" + (f"{workflow_name}/{request_id}" if workflow_name else "")


def idempotency(workflow_name: str, job_name: str, client_key: str) -> str:
    """Return the key of a client's Idempotency-Key, which may hold anything."""
    digest = hashlib.sha256(client_key.encode()).hexdigest()
    return f"idempotency/{workflow_name}/{job_name}/{digest}"


def queues(workflow_name: str) -> str:
    """Return the prefix of the queue collections of a workflow; one's name follows."""
    return f"queues/{workflow_name}/"


def trees(workflow_name: str) -> str:
    """Return the prefix of the tree collections of a workflow; one's name follows."""
    return f"entity_trees/{workflow_name}/"
