"""``jobx cluster``: several nodes as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from jobx import amounts
from jobx.actors.bridge.nsq.transport import server_of
from jobx.config import Settings
from jobx.config_sections import BlobSettings
from jobx.errors import ConfigError, InvalidInput, JobxError, StoreUnavailable
from jobx.handlers.blobs.opening import check as check_blobs
from jobx.kv.opening import is_here, servers_of, survey
from jobx.setting_types import Name
from jobx.tools.cluster import draining, new_files, nsqd, status
from jobx.tools.cluster.new_files import NewCluster
from jobx.tools.cluster.trouble import of_server
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command
from jobx.views import ClusterView, MemberView, StoreServerView

_NAME: Final = "NODE=HOST"


@click.group("cluster")
def cluster() -> None:
    """Several nodes on one store: set up, look, take a node out."""


@command(
    cluster,
    "init",
    example="cluster init new a=10.0.0.1 b=10.0.0.2 c=10.0.0.3 --blobs file:///mnt/blobs",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("hosts", nargs=-1, required=True, metavar=f"{_NAME}...")
@click.option("--blobs", required=True, metavar="URL", help="The shared place of large values.")
@click.option("--store", metavar="URL", help="Default: etcd on port 2379 of these hosts.")
@click.option("--name", default="jobx", show_default=True, help="The name of the cluster.")
@click.option("--nsqd-port", default=4150, show_default=True, help="The port of each nsqd.")
def init(
    call: Call,
    *,
    folder: Path,
    hosts: tuple[str, ...],
    blobs: str,
    store: str | None,
    name: str,
    nsqd_port: int,
) -> None:
    """Write settings for each host, and check the servers.

    The settings and a secret go to FOLDER; etcd and each nsqd are asked how they are. A secret that
    is in FOLDER already is kept, so the same call with --store adds hosts later.
    """
    if store is None and (folder / new_files.KEY_FILE).exists():
        reason = f"is needed to add hosts to the cluster of {folder / new_files.KEY_FILE}"
        raise InvalidInput("--store", "nothing", reason)
    named = _hosts(hosts)
    url = store or f"etcd://{','.join(f'{host}:2379' for host in named.values())}"
    new = NewCluster(_name(name), named, url, blobs, nsqd_port)
    _check(new)
    written = new_files.write(new, folder)
    checks = _checks(call.settings, new)
    if call.as_json:
        render.say_json({"files": [str(path) for path in written], "trouble": checks})
        return
    for path in written:
        render.say(f"wrote {path}")
    for line in checks:
        render.say(f"trouble: {line}")
    render.say(f"next: copy NODE.toml and {new_files.KEY_FILE} to /etc/jobx of each host")


def _hosts(texts: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, host in map(_host, texts):
        if name in found:
            raise InvalidInput("host", f"{name}={host}", "each node has its own name")
        found[name] = host
    return found


def _check(new: NewCluster) -> None:
    """Refuse what no node could use, before anything is written."""
    servers_of(new.store)
    for option, url in {"--store": new.store, "--blobs": new.blobs}.items():
        if not url or not url.isprintable() or any(mark in url for mark in '"\\'):
            raise InvalidInput(option, repr(url), "must be a URL, without quotes and backslashes")
    for node_id in new.hosts:
        server_of("bridge.nsqd", new.nsqd(node_id))


def _host(text: str) -> tuple[str, str]:
    name, _, host = text.partition("=")
    if not host or any(mark in host for mark in '"\\/ '):
        raise InvalidInput("host", text, f"must be {_NAME}")
    return _name(name), host


def _name(text: str) -> str:
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError as error:
        raise InvalidInput("name", text, str(error)) from error


def _checks(settings: Settings, new: NewCluster) -> list[str]:
    """Return what is wrong with the servers and the place that a new cluster needs."""
    store = msgspec.structs.replace(settings.store, url=new.store)
    found, servers = [], []
    try:
        servers = survey(msgspec.structs.replace(settings, store=store))
        check_blobs(BlobSettings(url=new.blobs))
    except ConfigError as error:
        found.append(f"on this host, {error}")
    found += [line for server in servers for line in of_server(server)]
    found += [
        f"etcd {server.server} was not told to compact by itself; see docs/etcd.md, Servers"
        for server in servers
        if server.error is None and not server.is_compacted
    ]
    for node_id in new.hosts:
        address = new.nsqd(node_id)
        if reason := nsqd.trouble(address):
            found.append(f"nsqd {address} of node {node_id} does not answer: {reason}")
    return found


@command(cluster, "status", example="cluster status --json")
def show(call: Call) -> None:
    """Show nodes, links, open requests, etcd, and what is wrong.

    It asks the nodes through the store, and each nsqd from this host, and waits some seconds for
    those that do not answer. When the store does not answer, it shows each server, and fails.
    """
    servers = _survey(call)
    try:
        with call.store() as store:
            view = status.gather(store, servers)
    except StoreUnavailable as error:
        _show(call, status.without_store(servers, error))
        raise
    _show(call, view)


def _show(call: Call, view: ClusterView) -> None:
    if call.as_json:
        render.say_json(view)
    else:
        _say(view)


@command(cluster, "drain", example="cluster drain b --wait 60")
@click.argument("node_id", metavar="NODE")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    help="Seconds to wait for its end.",
)
def drain(call: Call, node_id: str, wait_s: float) -> None:
    """Have a node take nothing more, hand over and end.

    It waits until nothing of the node remains. When the time is over it says what remains, and the
    node goes on draining.
    """
    _survey_is_possible(call.settings)
    with call.store() as store:
        draining.drain(store, node_id, wait_s)
    if call.as_json:
        render.say_json({"node_id": node_id, "state": "drained"})
    else:
        render.say(f"node {node_id} has ended, and nothing of it is left open")


def _survey(call: Call) -> list[StoreServerView]:
    _survey_is_possible(call.settings)
    try:
        return survey(call.settings)
    except ConfigError:
        raise
    except JobxError as error:
        return [StoreServerView(server=call.settings.store.url, error=str(error))]


def _survey_is_possible(settings: Settings) -> None:
    if is_here(settings):
        reason = "a cluster needs a store on etcd; --config FILE names the settings of a node"
        raise ConfigError("store.url", "nothing", reason)


def _say(view: ClusterView) -> None:
    render.say(
        f"cluster {view.cluster or 'without a record'}, {amounts.count(len(view.nodes), 'node')}"
    )
    _say_table(
        ("node", "state", "executors", "open", "memory", "version", "nsqd", "held by"),
        [_row(view, node) for node in view.nodes],
    )
    _say_table(
        ("link", "workflow", "up", "lent", "hosted", "unacked", "resent", "doubled", "breaks"),
        [
            (
                *(f"{node.node_id} to {link.peer}", link.workflow, "yes" if link.is_up else "no"),
                *(link.children, link.hosted, amounts.size(link.unacked_bytes), link.resent),
                *(link.duplicates, link.breaks),
            )
            for node in view.nodes
            for link in (node.report.links if node.report else ())
        ],
    )
    _say_table(
        ("workflow", "nodes"), [(one.workflow, ", ".join(one.nodes)) for one in view.workflows]
    )
    _say_table(("etcd", "version", "leads", "size", "quota", "alarms"), map(_server_row, view.etcd))
    for line in view.trouble or ["none"]:
        render.say(f"trouble: {line}")


def _say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    shown = list(rows)
    if shown:
        render.say_table(columns, shown)
        render.say("")


def _row(view: ClusterView, node: MemberView) -> tuple[object, ...]:
    report = node.report.node if node.report else None
    count = next((one.count for one in view.open_requests if one.node_id == node.node_id), 0)
    busy = sum(one.state == "busy" for one in report.executors) if report else "?"
    return (
        *(node.node_id, report.state if report else "no answer", f"{busy} of {node.slots} busy"),
        *(count, amounts.size(report.rss_bytes) if report else "", node.version),
        *(node.nsqd, node.holder),
    )


def _server_row(server: StoreServerView) -> tuple[object, ...]:
    return (
        *(server.server, server.version or "no answer", "yes" if server.is_leader else "no"),
        *(_size(server.size_bytes), _size(server.quota_bytes), ", ".join(server.alarms)),
    )


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else amounts.size(size_bytes)
