"""``jobx invocation``."""

from __future__ import annotations

import click

from jobx.actors.inspection import trace
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command, takes
from jobx.views import TraceNode


@click.group("invocation")
def invocation() -> None:
    """Invocations: single runs of a handler on an input."""


@command(invocation, "get", example="invocation get wordcount REQUEST_ID INVOCATION_ID")
@takes("workflow", "request_id", "invocation_id")
def get(call: Call, workflow: str, request_id: str, invocation_id: str) -> None:
    """Show an invocation: input, output, session, error."""
    with call.store() as store:
        found = trace.invocation(store, workflow, request_id, invocation_id)
    if call.as_json:
        render.say_json(found)
        return
    names = set(TraceNode.__struct_fields__) - {"children", "hidden"}
    fields = {name: getattr(found, name) for name in TraceNode.__struct_fields__ if name in names}
    fields["failure"] = found.failure and render.failure(found.failure)
    render.say_fields(fields)
    if found.failure and found.failure.traceback:
        render.say(f"\n{found.failure.traceback.rstrip()}")


@command(invocation, "output", example="invocation output wordcount REQUEST_ID m0")
@takes("workflow", "request_id", "invocation_id")
def output(call: Call, workflow: str, request_id: str, invocation_id: str) -> None:
    """Write the captured output of an invocation to stdout."""
    with call.store() as store:
        found = trace.invocation(store, workflow, request_id, invocation_id)
    if call.as_json:
        render.say_json({"invocation_id": invocation_id, "output": found.output or ""})
    elif found.output:
        render.say(found.output.removesuffix("\n"))
