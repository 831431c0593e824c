"""The door in front of the application, through which every request comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPMethod
from typing import Any, Final

from jobx.config_sections import HttpSettings
from jobx.counting import OTHER
from jobx.errors import JobxError, TooLarge
from jobx.http import errors
from jobx.http.byte_budget import ByteBudget
from jobx.http.door import origins
from jobx.http.metering import EXCHANGE, Exchange, Meter
from jobx.http.reading.intake import INTAKE, AsgiReceive, Intake
from jobx.http.writing import answer_memory

AsgiScope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
#: Methods that HTTP has; others are not known here.
_METHODS: Final = tuple(HTTPMethod)
Application = Callable[[AsgiScope, AsgiReceive, Send], Awaitable[None]]


class Door:
    """An ASGI application that admits allowed requests, and refuses others by their heads.

    Args:
        app: The application behind it.
        settings: Names of this server, and limits of bodies and answers.
        meter: Counts all requests, also those that are refused here.
    """

    def __init__(
        self, app: Application, settings: HttpSettings, meter: Meter | None = None
    ) -> None:
        self._app = app
        self._meter = meter or Meter()
        self._hosts = origins.Hosts(settings.bind, settings.hosts)
        self._bodies = ByteBudget("bodies", settings.bodies_bytes)
        self._answers = ByteBudget("answers", settings.answers_bytes)
        self._max_body_bytes = settings.max_body_bytes
        self._body_s = settings.body_s

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._pass_lifespan(scope, receive, send)
            return
        is_known = scope["method"] in _METHODS
        scope[EXCHANGE] = exchange = Exchange(scope["method"] if is_known else OTHER, send)
        try:
            await self._serve(scope, receive, exchange.send)
        finally:
            self._meter.ended(exchange)

    async def _serve(self, scope: AsgiScope, receive: AsgiReceive, send: Send) -> None:
        if scope["method"] not in _METHODS:
            known = f"methods are {', '.join(_METHODS)}"
            detail = f"the method {scope['method'][:80]!r} is not known here: {known}"
            await errors.refuse(send, 501, "It is not known here", detail, "not-implemented")
            return
        try:
            scope = origins.from_absolute(scope)
            has_body = self._admit(scope)
        except JobxError as error:
            await errors.answer(send, error)
            return
        scope[answer_memory.ANSWERS] = self._answers
        try:
            if has_body:
                await self._take_in(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            answer_memory.give_back(scope)

    async def _take_in(self, scope: AsgiScope, receive: AsgiReceive, send: Send) -> None:
        scope[INTAKE] = intake = Intake(receive, self._bodies, self._body_s)
        try:
            await self._app(scope, intake.receive, send)
        finally:
            intake.close()

    def _admit(self, scope: AsgiScope) -> bool:
        """Check that a request may come in, and return whether it has a body."""
        listed = scope["headers"]
        headers: dict[bytes, bytes] = dict(listed)
        host = headers.get(b"host")
        if host is None or len(headers) != len(listed):
            host = origins.one_host(listed, scope["http_version"])
            origins.check_once(listed)
        server = scope["server"]
        if host is not None:
            self._hosts.check(host, server[0] if server else None)
        origins.check_origin(scope["method"], headers, host)
        origins.check_expectation(headers.get(b"expect"))
        length = headers.get(b"content-length")
        if length is None:
            return b"transfer-encoding" in headers
        if int(length) > self._max_body_bytes:  # the server admits only digits
            limit = f"may have at most {self._max_body_bytes} bytes"
            raise TooLarge("body", f"{length[:80].decode()} bytes", limit)
        return length != b"0"

    async def _pass_lifespan(self, scope: AsgiScope, receive: AsgiReceive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()  # a WebSocket handshake, which is not supported
        await send({"type": "websocket.close"})
