"""The key space: every key is built here.

    entities/<class>/<workflow>[/<name>]      entities, JSON
    store_id                                  the id of the store, which its folder has as well
    blobs_place                               the URL of its shared place of blobs, if it has one
    entities_state/<workflow>                 changes with every change of an entity of it
    code/<workflow>/<version>                 handlers by content, kept while a request needs them
    plans/<workflow>/<hash>                   steps and handler versions by content
    requests/<workflow>/<id>/log/<n>          the events of a request
    open/<node>/<workflow>/<id>               requests that a node coordinates, with a mark, JSON
    nodes/<node>                              the lease of a node that runs, on etcd
    cluster                                   the cluster that has the store, JSON
    calls/<node>/<what>                       what a node is asked to do
    reports/<node>                            what a node said when it was last asked, JSON
    sweeps                                    the lease of the node that sweeps, on etcd
    lives/<node>                              what the last start of a node left, JSON
    kept/<workflow>/<plan>/<finished_at>/<id> finished requests, by plan and by end
    listed/<workflow>/<state>/<newest first>  finished requests, by state and from the newest on
    by_job/<workflow>/<job>/<state>/<newest first>
                                              finished requests of a job, with an index row
    by_error/<workflow>/<digest>/<newest first>
                                              those with an error of a type, likewise
    by_argument/<workflow>/<job>/<digest>/<newest first>
                                              those with a value of an argument, likewise
    counts/<workflow>/<job>                   how many are kept in each state, JSON
    uncounted/<workflow>/<job>/<id>(+|-)      one more, or one less, that this lacks
    indexed                                   how far older requests are in these indexes, JSON
    unwanted/<workflow>/<id>                  ended requests whose stages' data is to be removed
    finished/<expires_at>/<workflow>/<id>     what 1.0.0 wrote in place of these two
    deliveries/<workflow>/<id>                how far a result is on its way, JSON
    undelivered/<node>/<workflow>/<id>        deliveries that a node works off
    idempotency/<workflow>/<job>/<key>        the request that a client's key stands for
    queues/<workflow>/<name>                  a queue collection, JSON
    queue_items/<workflow>/<name>/<n>         its items, JSON
    entity_trees/<workflow>/<name>            a tree collection, JSON
    entity_tree_children/<workflow>/<name>/…  its children by name, JSON

No key continues another one: a store may hold a key as a file, and what is above it as folders.
Names are checked before they get here (``model.check_name``) and hold no ``/``.
"""

from __future__ import annotations

import hashlib
from typing import Final

from jobx.errors import EntryDamaged

#: What entities begin with, and requests, which are ones.
ENTITIES: Final = "entities/"
ENTITIES_STATE: Final = "entities_state/"
#: What logs begin with.
REQUESTS: Final = "requests/"
OPEN: Final = "open/"
UNDELIVERED: Final = "undelivered/"
FINISHED: Final = "finished/"
#: What calls of nodes, and the answers to them, begin with.
CALLS: Final = "calls/"
REPORTS: Final = "reports/"
#: The id that a store shares with its folder.
STORE_ID: Final = "store_id"
#: Where all nodes of the store have their large values, for people.
BLOBS_PLACE: Final = "blobs_place"
#: The record of the cluster that the store belongs to.
CLUSTER: Final = "cluster"
#: The lease of the one node that removes what nobody needs.
SWEEPS: Final = "sweeps"
#: Writing or deleting it shows whether the store takes writes.
PROBE: Final = "probe"
KEPT: Final = "kept/"
#: First character of ``expiry``; instants begin with 0 until the year 5138.
EXPIRY: Final = "9"
#: What the end in the key of a request begins with that is kept for ever; it sorts last.
PINNED: Final = "~"
LISTED: Final = "listed/"
IDEMPOTENCY: Final = "idempotency/"
#: Changes of counters that have not been added to them.
UNCOUNTED: Final = "uncounted/"
#: How far requests that an older version finished are in the indexes.
INDEXED: Final = "indexed"
#: What keys of requests begin with whose stages' data is to be removed.
UNWANTED: Final = "unwanted/"
#: Length of a plan's digest in the key of a kept request. If two plans share it, both stay.
_PLAN_CHARACTERS: Final = 16
#: Names sort backwards if each letter is replaced by its opposite, and an end comes last.
_LETTERS: Final = b"-.0123456789_abcdefghijklmnopqrstuvwxyz"
_OPPOSITES: Final = bytes.maketrans(_LETTERS, _LETTERS[::-1])
_END: Final = "~"


def names(key: str, count: int) -> list[str]:
    """Return the names in a key behind its first one.

    Raises:
        EntryDamaged: There are not so many of them, so the key is not one of JobX.
    """
    found = key.split("/")[1:]
    if len(found) != count or not all(found):
        raise EntryDamaged(key, "JobX writes no such key; remove it if nobody needs it")
    return found


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


def entities_state(workflow_name: str) -> str:
    """Return the key that changes with every change of an entity of a workflow."""
    return f"{ENTITIES_STATE}{workflow_name}"


def code(workflow_name: str, version: str) -> str:
    """Return the key of a handler by its content."""
    return f"code/{workflow_name}/{version}"


def plan(workflow_name: str, digest: str) -> str:
    """Return the key of a plan by its content."""
    return f"plans/{workflow_name}/{digest}"


def log(workflow_name: str, request_id: str) -> str:
    """Return the prefix of a request's log."""
    return f"{REQUESTS}{workflow_name}/{request_id}/log/"


def event(workflow_name: str, request_id: str, number: int) -> str:
    """Return the key of event ``number`` (from 0) of a request."""
    return f"{REQUESTS}{workflow_name}/{request_id}/log/{number:010d}"


def opened(node_id: str, workflow_name: str, request_id: str) -> str:
    """Return the marker key of a request that a node coordinates."""
    return f"{OPEN}{node_id}/{workflow_name}/{request_id}"


def request_of(key: str) -> tuple[str, str] | None:
    """Return the workflow and the id in a key of ``OPEN`` or ``UNDELIVERED``, if it has them."""
    parts = key.split("/")
    return (parts[2], parts[3]) if len(parts) == 4 and all(parts) else None


def opened_by(node_id: str) -> str:
    """Return the prefix of the markers of all requests that a node coordinates."""
    return f"{OPEN}{node_id}/"


def node(node_id: str) -> str:
    """Return the key of the lease of a node that runs."""
    return f"nodes/{node_id}"


def call(node_id: str, what: str = "") -> str:
    """Return the key of what a node is asked to do; the prefix of all such keys without it."""
    return f"{CALLS}{node_id}/{what}"


def report(node_id: str) -> str:
    """Return the key of what a node told of itself when it was asked last."""
    return f"{REPORTS}{node_id}"


def life(node_id: str) -> str:
    """Return the key of the record of a node's last start."""
    return f"lives/{node_id}"


def kept_with(workflow_name: str, plan_digest: str) -> str:
    """Return the prefix of the finished requests of a plan, by end; ``''`` is an unknown plan."""
    return f"{KEPT}{workflow_name}/{plan_digest[:_PLAN_CHARACTERS] or '-'}/"


def kept(workflow_name: str, plan_digest: str, finished_at: float, request_id: str) -> str:
    """Return the key under which the janitor finds a finished request."""
    return kept_by(workflow_name, plan_digest, instant(finished_at), request_id)


def kept_by(workflow_name: str, plan_digest: str, end: str, request_id: str) -> str:
    """Return the same key for an end in the form of ``instant`` or ``expiry``."""
    return f"{kept_with(workflow_name, plan_digest)}{end}/{request_id}"


def instant(at: float) -> str:
    """Return a wall-clock instant as text that sorts by time, to the millisecond."""
    return f"{max(0, int(at * 1000)):015d}"


def expiry(at: float) -> str:
    """Return when a request expires by itself as text that sorts by time, behind all instants."""
    return f"{EXPIRY}{instant(at)[1:]}"


def listed(workflow_name: str, state: str, request_id: str = "") -> str:
    """Return the key of a request in the list of its state; the list's prefix without one."""
    return f"{LISTED}{workflow_name}/{state}/" + (newest_first(request_id) if request_id else "")


def by_job(workflow_name: str, job_name: str, state: str) -> str:
    """Return the prefix of finished requests by job and state; ``newest_first`` follows."""
    return f"by_job/{workflow_name}/{job_name}/{state}/"


def by_error(workflow_name: str, digest: str) -> str:
    """Return the prefix of finished requests by type of error; ``newest_first`` follows."""
    return f"by_error/{workflow_name}/{digest}/"


def by_argument(workflow_name: str, job_name: str, digest: str) -> str:
    """Return the prefix of finished requests by an argument; ``newest_first`` follows."""
    return f"by_argument/{workflow_name}/{job_name}/{digest}/"


def counts(workflow_name: str, job_name: str = "") -> str:
    """Return the key of the counters of a job; the prefix of all of them without one."""
    return f"counts/{workflow_name}/{job_name}"


def uncounted(workflow_name: str, job_name: str = "") -> str:
    """Return the prefix of changes of a job's counters; of all jobs of a workflow without one."""
    return f"{UNCOUNTED}{workflow_name}/" + (f"{job_name}/" if job_name else "")


def newest_first(request_id: str) -> str:
    """Return text that sorts in the reverse order of request ids."""
    return _reversed(request_id) + _END


def request_id_of(newest_first_text: str) -> str:
    """Return the request id of a text of ``newest_first``."""
    return _reversed(newest_first_text.removesuffix(_END))


def ended(key: str) -> tuple[str, str] | None:
    """Return the workflow and the id of the request that a key of ``LISTED`` is of, if it is."""
    parts = key.removeprefix(LISTED).split("/")
    return (parts[0], request_id_of(parts[2])) if len(parts) == 3 else None


def _reversed(name: str) -> str:
    return name.encode().translate(_OPPOSITES).decode()


def unwanted(workflow_name: str, request_id: str) -> str:
    """Return the key of an ended request whose stages' data is to be removed."""
    return f"{UNWANTED}{workflow_name}/{request_id}"


def delivery(workflow_name: str, request_id: str) -> str:
    """Return the key of the delivery of a request's result."""
    return f"deliveries/{workflow_name}/{request_id}"


def undelivered(node_id: str, workflow_name: str = "", request_id: str = "") -> str:
    """Return the key of a delivery that a node has to carry out; its prefix without a request."""
    return f"{UNDELIVERED}{node_id}/" + (f"{workflow_name}/{request_id}" if workflow_name else "")


def idempotency(workflow_name: str, job_name: str, client_key: str) -> str:
    """Return the key of a client's Idempotency-Key, which may have any characters."""
    digest = hashlib.sha256(client_key.encode()).hexdigest()
    return f"{IDEMPOTENCY}{workflow_name}/{job_name}/{digest}"


def queues(workflow_name: str) -> str:
    """Return the prefix of the queue collections of a workflow; one's name follows."""
    return f"queues/{workflow_name}/"


def queue_items(workflow_name: str) -> str:
    """Return the prefix of the items of all queues of a workflow; ``<queue>/<number>`` follows."""
    return f"queue_items/{workflow_name}/"


def trees(workflow_name: str) -> str:
    """Return the prefix of the tree collections of a workflow; one's name follows."""
    return f"entity_trees/{workflow_name}/"


def tree_children(workflow_name: str) -> str:
    """Return the prefix of the children of all trees of a workflow; ``<tree>/<child>`` follows."""
    return f"entity_tree_children/{workflow_name}/"
