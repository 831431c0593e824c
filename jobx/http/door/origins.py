"""Checks the origin of a request: pure decisions over raw headers.

A browser sends requests for any page that it shows. Three headers that no page can choose reveal
foreign pages. ``Host`` names the server that the browser meant, so a name that was rebound to this
address shows. ``Origin`` and ``Sec-Fetch-Site`` name the asking page.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jobx.errors import ExpectationFailed, ForeignOrigin, InvalidInput, WrongHost, quote

_ABSOLUTE: Final = re.compile(r"(?i)https?://([^/?#@]+)")
_ABSOLUTE_BYTES: Final = re.compile(rb"(?i)\Ahttps?://[^/?#@]+")
#: Header names and values of ASGI; names are in lower case.
Headers = Mapping[bytes, bytes]

_LOCAL: Final = "localhost"
_UNIX: Final = "unix:"
_OWN_SITES: Final = frozenset({b"same-origin", b"none"})
_ELSEWHERE: Final = "a page of another origin asks"
#: Values of a bind or a malformed header that are no names.
_NOBODY: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - a comparison
_SAFE: Final = frozenset({"GET", "HEAD"})
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}
#: Headers with which a browser names the asking page; each may occur once.
_TELLING: Final = (b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")


class Hosts:
    """The names of this server: loopback, the bound address, and those of the settings.

    Args:
        bind: ``http.bind``.
        names: ``http.hosts``: names and addresses without a port.
    """

    def __init__(self, bind: str, names: Iterable[str]) -> None:
        bound = "" if bind.startswith(_UNIX) else bind.rpartition(":")[0]
        ours = {_name(name.lower().strip("[]")) for name in (_LOCAL, bound, *names)}
        self._names = frozenset(ours - _NOBODY)
        self._seen: bytes | None = None

    def check(self, host: bytes, connected_to: str | None) -> None:
        """Check that a Host header is a name of this server, with any port.

        Args:
            host: The header's value.
            connected_to: The address that the connection came to, unless on a Unix socket.

        Raises:
            WrongHost: It is not.
        """
        if host == self._seen:  # most clients name the one host
            return
        name = _name(_without_port(host.decode("latin-1")).lower())
        if name in self._names or _is_loopback(name):
            self._seen = host
        elif name in _NOBODY or name != _name(connected_to or ""):
            reason = "is not a name of this server; http.hosts can name it"
            raise WrongHost("header Host", quote(host.decode("latin-1")), reason)


def check_origin(method: str, headers: Headers, host: bytes | None) -> None:
    """Check that no foreign page asks; a link that a person follows is allowed.

    Raises:
        ForeignOrigin: A foreign page asks.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None and site not in _OWN_SITES and not _is_navigation(method, headers):
        raise ForeignOrigin("header Sec-Fetch-Site", quote(site.decode("latin-1")), _ELSEWHERE)
    origin = headers.get(b"origin")
    if origin is not None and not _is_same(origin.lower(), host):
        raise ForeignOrigin("header Origin", quote(origin.decode("latin-1")), _ELSEWHERE)


def from_absolute(scope: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of a request whose target may be a whole URL (RFC 9112, 3.2.2).

    The host of such a URL takes the place of the header.

    Raises:
        InvalidInput: It is no URL of HTTP.
    """
    path: str = scope.get("path", "/")
    if path.startswith("/"):
        return scope
    if path == "*":  # what the server itself can do
        return {**scope, "path": "/"}
    found = _ABSOLUTE.match(path)
    if found is None or path[found.end() : found.end() + 1] not in ("", "/"):
        raise InvalidInput("target", quote(path), "must be /PATH or http://HOST/PATH")
    raw = _ABSOLUTE_BYTES.sub(b"", scope.get("raw_path") or b"", count=1) or b"/"
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    host = (b"host", found[1].encode("latin-1", "replace"))
    return {
        **scope,
        "path": path[found.end() :] or "/",
        "raw_path": raw,
        "headers": [host, *headers],
    }


def check_expectation(expected: bytes | None) -> None:
    """Check that what a client expects can be done.

    Raises:
        ExpectationFailed: It cannot.
    """
    if expected is not None and expected.strip().lower() != b"100-continue":
        reason = "the only expectation that is known is 100-continue"
        raise ExpectationFailed("header Expect", quote(expected.decode("latin-1")), reason)


def one_host(headers: Iterable[tuple[bytes, bytes]], http_version: str) -> bytes | None:
    """Return the Host header; None if HTTP/1.0 has none.

    Raises:
        InvalidInput: There is more than one, or HTTP/1.1 has none.
    """
    found = [value for name, value in headers if name == b"host"]
    if len(found) == 1:
        return found[0]
    if found or http_version != "1.0":
        raise InvalidInput("header Host", f"{len(found)} of it", "must stand once")
    return None


def check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check that the headers about the asking page occur once.

    Raises:
        InvalidInput: One is repeated.
    """
    names = [name for name, _ in headers]
    for name in _TELLING:
        if names.count(name) > 1:
            raise InvalidInput(f"header {name.decode()}", "more than one", "must stand once")


def _is_navigation(method: str, headers: Headers) -> bool:
    return (
        method in _SAFE
        and headers.get(b"sec-fetch-mode") == b"navigate"
        and headers.get(b"sec-fetch-dest") == b"document"
    )


def _is_same(origin: bytes, host: bytes | None) -> bool:
    scheme, _, authority = origin.partition(b"://")
    port = _DEFAULT_PORTS.get(scheme)
    if host is None or port is None:
        return False
    host = host.lower()
    return authority == host or authority + port == host or authority == host + port


def _without_port(host: str) -> str:
    if host.startswith("["):
        address, closed, port = host[1:].partition("]")
        return address if closed and (not port or _is_port(port)) else ""
    name, colon, port = host.partition(":")
    return name if not colon or _is_port(f":{port}") else ""


def _is_port(text: str) -> bool:
    return text == ":" or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit())


def _name(host: str) -> str:
    """Return a host in a form for comparison; addresses have one form."""
    address = _address(host)
    return host if address is None else str(address)


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
