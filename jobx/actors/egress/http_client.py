"""HTTP calls out of the node, to allowed addresses only.

A name is resolved once, all its addresses are checked, and the connection goes to a checked one. So
a name that changes its address reaches nothing else. Redirects are not followed. The answer is read
within limits of size and time, and thrown away.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import Any, Final, TypeAlias

import jobx
from jobx.actors.egress import urls
from jobx.actors.egress.urls import Url
from jobx.config_sections import OutboundSettings
from jobx.errors import ConfigError, DeadlineExceeded, InvalidInput, JobxError, Unavailable

#: Time limit of connecting, and of the answer.
CALL_S: Final = 5.0
#: Bytes of an answer that are read.
ANSWER_BYTES: Final = 64 << 10
#: Addresses of one name that are tried.
_MAX_ADDRESSES: Final = 8
#: Returns the addresses of a name, as ``socket.getaddrinfo`` does.
Resolve: TypeAlias = Callable[[str, int], Iterable[str]]


class Outbound:
    """Calls allowed addresses. Methods block and may be called from any thread.

    Args:
        settings: What is allowed.
        trusted: URLs from the deployment's settings; empty ones are ignored.
        resolve: Returns the addresses of a name.

    Raises:
        ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        settings: OutboundSettings,
        trusted: Iterable[str] = (),
        resolve: Resolve | None = None,
    ) -> None:
        self._allowed = [urls.origin_of(text) for text in settings.allow]
        self._networks = [urls.network_of(text) for text in settings.networks]
        self._trusted = {(t.scheme, t.host, t.port) for t in map(urls.trusted, trusted) if t}
        self._resolve = resolve or _addresses_of
        self._settings = settings

    def check(self, where: str, url: str) -> Url:
        """Return an allowed URL as a target; its name is not resolved yet.

        Raises:
            InvalidInput: It is no URL, or is not allowed.
        """
        target = urls.parse(where, url)
        if (target.scheme, target.host, target.port) in self._trusted:
            return Url(target.scheme, target.host, target.port, target.path, trusted=True)
        if not any(urls.matches(origin, target) for origin in self._allowed):
            reason = "is not among the origins of outbound.allow"
            raise InvalidInput(where, target.origin, reason)
        return target

    def post(
        self,
        target: Url,
        body: Iterable[bytes],
        size_bytes: int,
        headers: Mapping[str, str],
        timeout_s: float = CALL_S,
    ) -> None:
        """Post a body; return after an answer with a status of 2xx.

        Args:
            target: A target of ``check``.
            body: The body in pieces.
            size_bytes: Size of the body.
            headers: Further headers.
            timeout_s: Time limit of sending, in addition to connecting and the answer.

        Raises:
            InvalidInput: The name has an address that is not allowed.
            Unavailable: It cannot be reached, or answered with another status.
            DeadlineExceeded: It took too long.
        """
        length = {"Content-Length": str(size_bytes), "User-Agent": f"jobx/{jobx.__version__}"}
        try:
            with closing(self._connect(target)) as connected:
                self._secure(connected, target)
                with _deadline(connected, f"sending to {target.origin}", timeout_s):
                    _send(connected, target, body, {**length, **headers})
                with _deadline(connected, f"the answer of {target.origin}", CALL_S):
                    status, retry_after_s = _answer(connected)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{target.origin}: {_reason(error)}", 0.0) from error
        if not 200 <= status < 300:
            hint = "; redirects are not followed" if 300 <= status < 400 else ""
            raise Unavailable(f"{target.origin} answered {status}{hint}", retry_after_s)

    def addresses(self, target: Url) -> list[str]:
        """Resolve the name of a target and return its checked addresses.

        Raises:
            InvalidInput: One of them is not allowed.
            Unavailable: It has none.
        """
        try:
            found = list(self._resolve(target.host, target.port))[:_MAX_ADDRESSES]
        except OSError as error:
            raise Unavailable(f"{target.host} is not known: {_reason(error)}", 0.0) from error
        if not found:
            raise Unavailable(f"{target.host} has no address", 0.0)
        for text in found:
            if not (target.trusted or self._is_allowed(text)):
                reason = "is not public and not in outbound.networks"
                raise InvalidInput(f"address of {target.host}", text, reason)
        return found

    def _is_allowed(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return urls.is_public(address) or any(address in network for network in self._networks)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._settings)

    def _connect(self, target: Url) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.auto_open = 0  # it would resolve the name once more
        connection.sock = _open(self.addresses(target), target.port)
        return connection

    def _secure(self, connection: http.client.HTTPConnection, target: Url) -> None:
        if target.scheme == "https":
            secured = self._tls.wrap_socket(
                connection.sock, server_hostname=target.host, do_handshake_on_connect=False
            )
            connection.sock = secured
            with _deadline(connection, f"TLS with {target.origin}", CALL_S):
                secured.do_handshake()


def tls_context(settings: OutboundSettings) -> ssl.SSLContext:
    """Return the TLS context that checks certificates, for HTTP and mail.

    Raises:
        ConfigError: ``outbound.ca_file`` cannot be read.
    """
    context = ssl.create_default_context()
    if settings.ca_file:
        try:
            context.load_verify_locations(settings.ca_file)
        except OSError as error:
            raise ConfigError("outbound.ca_file", settings.ca_file, _reason(error)) from error
    return context


def _addresses_of(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def _open(addresses: Sequence[str], port: int) -> socket.socket:
    last: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), CALL_S)
        except OSError as error:
            last = error
    raise last


@contextmanager
def _deadline(connection: http.client.HTTPConnection, what: str, limit_s: float) -> Iterator[None]:
    """Cut a connection after a time limit; a time-out per read would not bound a slow drip."""
    cut = threading.Event()

    def expire() -> None:
        cut.set()
        with suppress(OSError):
            # Not the method of a TLS socket, which would first detach itself while it is in use.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if cut.is_set() or isinstance(error, TimeoutError):
            raise DeadlineExceeded(what, limit_s) from error
        raise
    finally:
        timer.cancel()


def _send(
    connection: http.client.HTTPConnection,
    target: Url,
    body: Iterable[bytes],
    headers: Mapping[str, str],
) -> None:
    connection.putrequest("POST", target.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", target.origin.partition("://")[2])
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    for piece in body:
        connection.send(piece)


def _answer(connection: http.client.HTTPConnection) -> tuple[int, float]:
    """Return the status, and the requested seconds before the next try."""
    response = connection.getresponse()
    response.read(ANSWER_BYTES)
    wanted = response.headers.get("Retry-After", "")
    return response.status, float(wanted) if re.fullmatch(r"\d{1,5}", wanted) else 0.0


def _reason(error: Any) -> str:
    if isinstance(error, JobxError):
        return str(error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
