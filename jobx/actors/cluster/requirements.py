"""What the settings of a node in a cluster must have.

It loads nothing of what makes a node a member: every command that starts a process checks settings.
"""

from __future__ import annotations

from typing import Final

from jobx.actors.cluster.identity import secret_of
from jobx.config import Settings
from jobx.errors import ConfigError

#: The id of a node without a cluster.
ALONE: Final = "local"


def check(settings: Settings) -> None:
    """Check the settings of a node in a cluster.

    Raises:
        ConfigError: One that a bridge needs is not set, the key is too short, or the password would
            be sent in clear; or there is no bridge, and the node has an id of its own.
    """
    if not settings.bridge.nsqd:
        if settings.node.id != ALONE:
            raise ConfigError("node.id", repr(settings.node.id), "is used with bridge.nsqd only")
        if settings.node.front_end:
            raise ConfigError("node.front_end", "true", "needs other nodes, so bridge.nsqd")
        return
    needed = {
        "node.id": settings.node.id if settings.node.id != ALONE else "",
        "store.url": settings.store.url,
        "blobs.url": settings.blobs.url,
    }
    for name, value in needed.items():
        if not value:
            raise ConfigError(name, "nothing", "is needed with bridge.nsqd")
    if settings.bridge.password and not settings.bridge.ca_file:
        reason = "is sent over TLS only, which needs bridge.ca_file"
        raise ConfigError("bridge.password", "one, which is secret", reason)
    secret_of(settings.cluster)
