"""Runs a mapper of a request again, for a dump: on its logged input, in an executor of its own.

The request, its log and its results do not change. What the handlers do outside of JobX they do
again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from jobx.actors.inspection.dumps.dump import Dump
from jobx.actors.inspection.dumps.lines import DumpLine
from jobx.errors import InvalidInput, NotFound
from jobx.handlers.trial.single_run import Trial, TrialResult
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.store import Store
from jobx.model import Handler
from jobx.values import Key, Pair, Value, key_identity


def vertex_of(name: str) -> int:
    """Return the vertex of an invocation.

    Raises:
        InvalidInput: It is no invocation id.
    """
    if re.fullmatch("[mcr][0-9]{1,18}", name) is None:
        reason = "an invocation id is m, c or r and a number"
        raise InvalidInput("option --rerun", repr(name)[:80], reason)
    return int(name[1:])


def rerun(store: Store, dump: Dump, vertex: int, trial: Trial) -> Iterator[DumpLine]:
    """Yield the lines of a mapper and of what runs in its trip, as they are when it runs again.

    Args:
        store: Where the request is.
        dump: A dump of the mapper, which is not read yet.
        vertex: Its vertex.
        trial: Runs handlers.

    Raises:
        NotFound: There is no such mapper, or a handler is gone.
        BlobDamaged: Its input is gone.
        InternalError: No executor could run it.
    """
    workflow = dump.request.workflow_name
    lines = [line for line in dump.lines() if line.invocation_id == f"m{vertex}"]
    if not lines:
        raise NotFound("invocation", f"{workflow}/{dump.request.request_id}/m{vertex}")
    given, mapper = dump.input_of(vertex), _handler(store, workflow, lines[0].version)
    if vertex == 0:
        result = trial.map(mapper, arguments={str(name): value for name, value in given})
    else:
        result = trial.map(mapper, pair=(given[0], given[1]))
    yield _again(dump, lines[0], result)
    session = result.session
    for kind in ("combine", "reduce"):
        name, version = dump.handlers_of(lines[0].step_name).get(kind, ("", ""))
        if result.step is not None or result.failure is not None:
            return
        if name:
            handler = _handler(store, workflow, version)
            result = trial.reduce(handler, grouped(result.yielded), session)
            line = DumpLine(
                f"{kind[0]}{vertex}", kind, "", lines[0].step_name, name, version, 1, f"m{vertex}"
            )
            yield _again(dump, line, result)


def grouped(pairs: list[Pair]) -> list[tuple[Key, list[Value]]]:
    """Return pairs as keys with their values."""
    found: dict[object, tuple[Key, list[Value]]] = {}
    for key, value in pairs:
        found.setdefault(key_identity(key), (key, []))[1].append(value)
    return list(found.values())


def _again(dump: Dump, line: DumpLine, result: TrialResult) -> DumpLine:
    """Return a line with what came of the handler now; where and when it ran in vain is gone."""
    show, failure = dump.values.show, result.failure
    own = DumpLine(
        line.invocation_id, line.kind, "succeeded" if failure is None else "failed",
        line.step_name, line.handler_name, line.version, line.attempt, line.parent,
    )  # fmt: skip
    own = replace(own, arguments=line.arguments, rerun=True)
    if line.kind != "map":
        own.absent = {"arguments": "they are the data of the line before"}
    if result.step is not None:
        own.children = len(result.yielded)
        own.absent = {**own.absent, "reducer": "it gets what the children leave; run those again"}
    if failure is None:
        own.data = show(grouped(result.yielded))
    else:
        own.failure = dump.values.failure(failure)
        own.absent = {**own.absent, "data": "it failed"}
    if result.session:
        own.session = show(result.session)
    if result.output:
        own.output = dump.values.text(result.output)
    return own


def _handler(store: Store, workflow: str, version: str) -> Handler:
    entry = store.get(keys.code(workflow, version))
    if entry is None:
        raise NotFound("handler version", f"{workflow}/{version}")
    return decoded(Handler, entry)
