"""Parses the URLs that a node may call, and compares them with the allowed ones."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from jobx.errors import ConfigError, InvalidInput, quote

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*")
_ANY: Final = "*"
#: IPv6 networks whose addresses stand for IPv4 ones: mapped, compatible, NAT64, Teredo, 6to4.
_TRANSLATED: Final = tuple(
    map(
        ipaddress.ip_network,
        ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"),
    )
)

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL.

    Attributes:
        trusted: It is from the deployment's settings, so it may have any address.
    """

    scheme: str
    host: str
    port: int
    path: str
    trusted: bool = False

    @property
    def origin(self) -> str:
        """Scheme, host and port: the part of a URL that may be shown; the path may be a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def parse(where: str, url: str) -> Url:
    """Return a parsed URL.

    Raises:
        InvalidInput: It is not an HTTP URL, or it is ambiguous.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput(where, "a URL", str(error)) from error
    if parts.scheme not in _PORTS:
        raise InvalidInput(where, repr(parts.scheme)[:80], "must begin with http:// or https://")
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise InvalidInput(where, "a URL", "contains characters that a URL may not have")
    if "@" in parts.netloc or parts.fragment:
        raise InvalidInput(where, "a URL", "may have neither a user nor a fragment")
    if port == 0 or not _is_host(host):
        raise InvalidInput(where, repr(parts.hostname)[:80], "is not a host")
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return Url(parts.scheme, host, port or _PORTS[parts.scheme], path)


def matches(origin: Url, target: Url) -> bool:
    """Return whether an origin of ``origin_of`` allows a target."""
    if (origin.scheme, origin.port) != (target.scheme, target.port):
        return False
    if origin.host.startswith("*."):
        return target.host.endswith(origin.host[1:])
    return origin.host in (_ANY, target.host)


def origin_of(text: str) -> Url:
    """Return an origin of ``outbound.allow``, whose host may be ``*`` or begin with ``*.``.

    Raises:
        ConfigError: It is invalid.
    """
    wildcard = re.sub(r"^(https?://)\*(?=[.:/]|$)", r"\1any", text)
    try:
        target = parse("outbound.allow", wildcard)
    except InvalidInput as error:
        raise ConfigError("outbound.allow", repr(text), error.args[2]) from error
    if target.path != "/":
        raise ConfigError("outbound.allow", repr(text), "must be an origin, without a path")
    host = _ANY + target.host[len("any") :] if wildcard != text else target.host
    return Url(target.scheme, host, target.port, "/")


def network_of(text: str) -> Network:
    """Return a network of ``outbound.networks``.

    Raises:
        ConfigError: It is invalid.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        reason = f"must be a network such as 10.0.0.0/8: {error}"
        raise ConfigError("outbound.networks", repr(text), reason) from error


def trusted(url: str, setting: str = "URL") -> Url | None:
    """Return a parsed URL of a setting, None for an empty one.

    Raises:
        ConfigError: As ``parse`` raises InvalidInput.
    """
    try:
        return parse("URL in settings", url) if url else None
    except InvalidInput as error:
        shown = quote(url.partition("?")[0])  # what follows may be secret
        raise ConfigError(setting, shown, error.args[2]) from error


def is_public(address: IpAddress) -> bool:
    """Tell whether an address is public and does not stand for another address."""
    if getattr(address, "scope_id", None) or any(address in network for network in _TRANSLATED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _is_host(host: str) -> bool:
    """Tell whether it is a name or an address that all resolvers read alike (unlike 127.1)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        return bool(_HOST.fullmatch(host)) and not re.match(r"\d+$|0x", last)
    return "%" not in host
