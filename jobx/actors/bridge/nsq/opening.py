"""Opens the transport that the settings name, and checks them."""

from __future__ import annotations

import ssl
from pathlib import Path

from jobx.actors.bridge.nsq.connection import Access
from jobx.actors.bridge.nsq.transport import NsqTransport, server_of
from jobx.config import Settings
from jobx.config_sections import BridgeSettings
from jobx.errors import ConfigError


def open_transport(settings: Settings) -> NsqTransport:
    """Return the transport of a node; on the running loop.

    Raises:
        ConfigError: A setting of the bridge is wrong.
    """
    server = server_of("bridge.nsqd", settings.bridge.nsqd)
    access = Access(_tls(settings.bridge), settings.bridge.password)
    return NsqTransport(settings.node.id, settings.cluster.name, server, access)


def _tls(bridge: BridgeSettings) -> ssl.SSLContext | None:
    if not bridge.ca_file:
        if bridge.cert_file or bridge.key_file:
            raise ConfigError("bridge.ca_file", "nothing", "is needed for TLS")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(Path(bridge.ca_file))
    except OSError as error:  # those of TLS, too
        raise ConfigError("bridge.ca_file", repr(bridge.ca_file), str(error)) from error
    if bridge.cert_file:
        try:
            context.load_cert_chain(bridge.cert_file, bridge.key_file or None)
        except OSError as error:
            raise ConfigError("bridge.cert_file", repr(bridge.cert_file), str(error)) from error
    return context
