"""The files of a new cluster: annotated settings for each host, and the secret."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from jobx.errors import AlreadyExists, InvalidInput

KEY_FILE: Final = "cluster.key"
_SECRET_BYTES: Final = 32

_SETTINGS: Final = Template("""\
# Settings of node $node_id on $host, one of $count of the cluster "$cluster".
# Copy this file to $host:/etc/jobx/jobx.toml. All settings are in conf/jobx.toml.

[node]
# Each node has its own name. The id and the store say which node it is, not the host.
id = "$node_id"
data_dir = "/var/lib/jobx"

[store]
# The members of etcd, the same on all nodes. Text after a slash is a prefix of all keys.
url = "$store"
# For TLS (etcds://…): the authorities of the certificates of etcd.
# ca_file = "/etc/jobx/etcd-ca.pem"

[blobs]
# The place of large values, the same on all nodes. See docs/etcd.md.
url = "$blobs"

[cluster]
# The same on all nodes. A node of another name or key is refused at start.
name = "$cluster"
# Copy the file $key_file there, for the user of JobX alone (mode 0600).
key_file = "/etc/jobx/$key_file"

[bridge]
# The nsqd of this host. The other nodes use this address, too, so it is not loopback.
nsqd = "$nsqd"
# For TLS: the authorities of the certificates of all nsqd's.
# ca_file = "/etc/jobx/nsqd-ca.pem"

[http]
# Clients of other hosts come through a proxy on this one; see conf/nginx.conf.
bind = "127.0.0.1:8080"
""")


@dataclass(frozen=True, slots=True)
class NewCluster:
    """A cluster to be set up.

    Attributes:
        cluster: Its name.
        hosts: The host of each node.
        store: The ``store.url``.
        blobs: The ``blobs.url``.
        nsqd_port: The port of each host's nsqd.
    """

    cluster: str
    hosts: dict[str, str]
    store: str
    blobs: str
    nsqd_port: int = 4150

    def nsqd(self, node_id: str) -> str:
        """Return the address of a node's nsqd."""
        return f"{self.hosts[node_id]}:{self.nsqd_port}"

    def settings(self, node_id: str) -> str:
        """Return the annotated settings of a node, TOML."""
        return _SETTINGS.substitute(
            node_id=node_id,
            host=self.hosts[node_id],
            count=len(self.hosts),
            cluster=self.cluster,
            store=self.store,
            blobs=self.blobs,
            key_file=KEY_FILE,
            nsqd=self.nsqd(node_id),
        )


def write(new: NewCluster, folder: Path) -> list[Path]:
    """Write the settings of each node, and a new secret unless the folder has one.

    Returns:
        The files that were written.

    Raises:
        AlreadyExists: The settings of a node are there already; nothing was written.
        InvalidInput: A file cannot be written.
    """
    files = {folder / f"{node_id}.toml": new.settings(node_id) for node_id in new.hosts}
    for path in files:
        if path.exists():
            raise AlreadyExists("file", str(path))
    key = folder / KEY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not key.exists():
            _write_secret(key)
            files = {key: "", **files}
        for path, text in files.items():
            if path != key:
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("folder", str(folder), error.strerror or str(error)) from error
    return list(files)


def _write_secret(path: Path) -> None:
    """Write a new secret that only its owner may read, from its first instant."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(number, "w", encoding="ascii") as file:
        file.write(f"{secrets.token_hex(_SECRET_BYTES)}\n")
