"""Writes traces, explanations and actors to the terminal: what has the form of a tree."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from jobx import amounts, printable
from jobx.tools.shared import render
from jobx.views import ActorView, ExplainView, OpenGroup, TraceNode, TraceView


def say_trace(view: TraceView, *, detail: bool = False) -> None:
    """Write the invocation tree of a request to stdout; details add inputs, output and sessions."""
    request = view.request
    head = Text.assemble(
        f"{request.workflow_name}/{request.job_name} {request.request_id} ",
        render.state(request.state),
        f"  {render.progress(request.counts)}",
    )
    tree = Tree(head)
    if view.root is not None:
        _grow(tree, view.root, detail, has_places=view.is_spread)
    for sent in view.deliveries:
        tree.add(Text(f"delivery {printable.line(render.delivery(sent))}"))
    render.console().print(tree)


def say_explanation(view: ExplainView) -> None:
    """Write why a request is where it is: a headline, a line for each group, and what helps."""
    request = view.request
    path = f"{request.workflow_name}/{request.request_id}"
    if view.says.startswith("it "):
        render.say(f"request {path} {view.says.removeprefix('it ')}")
    else:
        stands = "has failed" if request.state == "failed" else f"is {request.state}"
        render.say(f"request {path} {stands}: {view.says}")
    if view.helps:
        render.say(f"    {view.helps}")
    for trouble in view.troubles:
        render.say(f"trouble of the node: {trouble}")
    for group in view.groups:
        which = f"{group.kind} {group.step_name}".strip()
        render.say(
            f"  {group.count:,} x {which}, first {group.invocation_id}: {group.says}{_times(group)}"
        )
        if group.helps:
            render.say(f"      {group.helps}")


def _times(group: OpenGroup) -> str:
    """Return since when and until when a group waits."""
    since = f", since {render.instant(group.since_at)}" if group.since_at else ""
    return f"{since}, until {render.instant(group.until_at)}" if group.until_at else since


def say_actors(actors: Sequence[ActorView]) -> None:
    """Write the live actor tree of a node to stdout."""
    tree = Tree("actors", hide_root=True)
    for actor in actors:
        _grow_actors(tree, actor)
    render.console().print(tree)


def _grow(tree: Tree, root: TraceNode, detail: bool, *, has_places: bool) -> None:
    # An explicit stack, because a mapper may map on a thousand levels deep.
    todo: list[tuple[Tree, TraceNode | Text]] = [(tree, root)]
    while todo:
        parent, node = todo.pop()
        if isinstance(node, Text):
            parent.add(node)
            continue
        branch = parent.add(_trace_line(node, has_place=has_places))
        if detail:
            _add_details(branch, node)
        if node.hidden:
            todo.append((branch, Text(f"… {node.hidden:,} more", style="dim")))
        todo += [(branch, below) for below in reversed(node.children)]


def _add_details(branch: Tree, node: TraceNode) -> None:
    shown = {"ran": _ran(node), "input": node.input, "output": node.output}
    if node.session:
        shown["session"] = render.to_json(node.session, indent=None)
    if node.failure is not None:
        shown["traceback"] = node.failure.traceback
    for name, text in shown.items():
        if text:
            branch.add(Text.assemble((f"{name}: ", "bold"), printable.lines(text.rstrip())))


def _ran(node: TraceNode) -> str | None:
    """Return when an invocation began and in which process; None if that is not known."""
    if node.started_at is None:
        return None
    waited_s = max(node.started_at - (node.queued_at or node.started_at), 0.0)
    waited = f", after a wait of {amounts.duration(waited_s)}" if waited_s else ""
    return f"{render.instant(node.started_at)} in executor {node.executor}{waited}"


def _trace_line(node: TraceNode, *, has_place: bool) -> Text:
    line = Text.assemble(
        render.state(node.state), f" {node.kind} {node.step_name}/{node.handler_name}"
    )
    if node.attempt > 1:
        line.append(f"  attempt {node.attempt}", style="yellow")
    if node.duration_s is not None:
        line.append(f"  {amounts.duration(node.duration_s)}", style="dim")
    if has_place and node.node_id is not None:
        line.append(f"  on {node.node_id}", style="dim")
    if node.failure is not None:
        line.append(f"  {printable.line(render.failure(node.failure))}", style="red")
    return line.append(f"  {node.invocation_id}", style="dim")


def _grow_actors(tree: Tree, actor: ActorView) -> None:
    line = Text.assemble(f"{printable.line(actor.name)} ", render.state(actor.state))
    line.append(
        f"  mailbox {actor.mailbox}  {amounts.duration(actor.age_s)}  {actor.address}", style="dim"
    )
    branch = tree.add(line)
    for below in actor.children:
        _grow_actors(branch, below)
    if actor.hidden:
        branch.add(Text(f"{actor.hidden:,} more", style="dim"))
