"""``jobx node``: runs a node in the foreground (as for ``jobx serve``), or asks a running one."""

from __future__ import annotations

import functools
import os

import click

from jobx import amounts, logs, mr_variables
from jobx.questions import GetNode
from jobx.tools.serving import checks, systemd
from jobx.tools.serving.watchdog import beat, wants_stop
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command
from jobx.views import NodeView, PeerView


@command(
    None,
    "node",
    example="node status",
    flags={"executors": "node.executors"},
    cls=click.Group,
    invoke_without_command=True,
)
@click.option("--executors", type=int, help="Executor processes; 0: one for each processor.")
@click.option("--heartbeat-fd", type=int, hidden=True, help="Descriptor for heartbeats.")
def node(call: Call, *, heartbeat_fd: int | None) -> None:
    """The running node. Without a command: a node in the foreground, without web workers."""
    if click.get_current_context().invoked_subcommand:
        return
    from jobx.actors import foreground  # noqa: PLC0415 - `node status` needs no actors

    if heartbeat_fd is None:  # else jobx serve has checked
        for note in mr_variables.notes(os.environ):
            render.complain(note)
        checks.check(call.settings, os.environ)
    logs.start(call.settings.node)
    if heartbeat_fd is None:
        tell = functools.partial(systemd.notify, os.environ)
        foreground.main(
            call.settings,
            os.environ,
            lambda: tell("WATCHDOG=1"),
            started=lambda: tell("READY=1"),
        )
    else:
        foreground.main(
            call.settings,
            os.environ,
            functools.partial(beat, heartbeat_fd),
            pass_on_drain=functools.partial(wants_stop, heartbeat_fd),
        )


@command(node, "status", example="node status")
def status(call: Call) -> None:
    """Show the state, open requests, memory and executors."""
    with call.gateway() as gateway:
        view = gateway.call(GetNode())
    if call.as_json:
        render.say_json(view)
        return
    fields = {name: getattr(view, name) for name in NodeView.__struct_fields__}
    executors, members = fields.pop("executors"), fields.pop("members")
    fields["uptime_s"] = amounts.duration(view.uptime_s)
    fields["rss_bytes"] = amounts.size(view.rss_bytes)
    render.say_fields(fields)
    columns = ("executor", "state", "invocations", "memory", "age")
    render.say_table(
        columns,
        (
            (e.pid, e.state, e.invocations, amounts.size(e.rss_bytes), amounts.duration(e.age_s))
            for e in executors
        ),
    )
    if members:
        columns = ("member", "version", "executors", "workflows", "link")
        render.say_table(columns, map(_member_row, members))


def _member_row(member: PeerView) -> tuple[object, ...]:
    link = {True: "up", False: "down", None: ""}[member.is_up]
    workflows = ", ".join(member.workflows) or "all"
    return member.node_id, member.version, member.executors, workflows, link
