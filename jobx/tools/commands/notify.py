"""``jobx notify``."""

from __future__ import annotations

import errno
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl

import click

from jobx import amounts
from jobx.actors.egress import signing
from jobx.errors import InUse, InvalidInput, quote
from jobx.questions import ListNotifications
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command
from jobx.views import NotificationPage, NotificationView, SendingView

#: Largest accepted body.
MAX_BODY_BYTES: Final = 16 << 20
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_MAX_KNOWN: Final = 10_000
_CALL_S: Final = 10.0
#: A form, and most of its fields.
_FORM: Final = "x-www-form-urlencoded"
_MAX_FIELDS: Final = 100
#: Headers that are shown; JobX does not send others.
_SHOWN: Final = (signing.DELIVERY_ID, "X-WORKFLOW-NAME", "X-JOB-NAME", "X-REQUEST-ID")


@click.group("notify")
def notify() -> None:
    """Notifications: what a node reports to people."""


@command(notify, "listen", example="notify listen --port 3333")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=3333, show_default=True)
@click.option(
    "--key",
    envvar="JOBX_NOTIFY_HTTP_KEY",
    help="Refuse posts that are not signed with it; default: notify.http_key.",
)
def listen(call: Call, host: str, port: int, key: str | None) -> None:
    """Print the notifications and results that arrive over HTTP.

    Ctrl-C ends it. Repeats are marked.
    """

    def say(arrival: Arrival) -> None:
        if call.as_json:
            render.say(render.to_json(arrival.fields(), indent=None))
        else:
            render.say(arrival.line())

    keys = key or call.settings.notify.http_key
    signing.parsed(keys)
    server = _listener(host, port, keys, say)
    if not call.as_json:
        render.say(f"listening on http://{host}:{server.server_port}/")
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def _listener(host: str, port: int, key: str, say: Callable[[Arrival], None]) -> Listener:
    """Listen.

    Raises:
        InUse: Another process listens there.
        InvalidInput: It is no address of this machine, or this user may not listen there.
    """
    try:
        return Listener(host, port, key, say)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InUse("address", f"{host}:{port}", "another process") from error
        raise InvalidInput("address", f"{host}:{port}", error.strerror or str(error)) from error
    except (TypeError, UnicodeError) as error:  # no IDNA name
        raise InvalidInput("--host", quote(host), "is no name of a host") from error


@command(notify, "list", example="notify list")
def list_told(call: Call) -> None:
    """Show what the node told last, to whom, and what is tried again."""
    with call.gateway() as gateway:
        page = gateway.call(ListNotifications())
    if call.as_json:
        render.say_json(page)
    else:
        say_told(page)


def say_told(page: NotificationPage) -> None:
    """Write the last notifications, newest first, and the channels."""
    rows = (
        (render.instant(one.at), one.level, one.kind, one.count, one.subject, _ways(one))
        for one in page.notifications
    )
    render.say_table(("at", "level", "kind", "count", "subject", "to"), rows)
    if page.held_back:
        render.say(f"{amounts.count(page.held_back, 'repeat')} told within a minute")
    channels = ((one.name, one.level, one.waiting, one.lost, one.to) for one in page.channels)
    render.say_table(("channel", "from level", "waiting", "lost", "to"), channels)


def _ways(one: NotificationView) -> str:
    """Return how far a notification is, by each channel."""
    return "; ".join(_way(sent) for sent in one.sent) or "nobody: below the levels of all channels"


def _way(sent: SendingView) -> str:
    text = f"{sent.channel} {sent.state}"
    if sent.next_at is not None:
        text += f", next at {render.instant(sent.next_at)}"
    return f"{text}: {sent.error}" if sent.error else text


@dataclass(frozen=True, slots=True)
class Arrival:
    """One post."""

    headers: Mapping[str, str]
    body: Any
    is_repeat: bool

    def fields(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"headers": self.headers, "repeat": self.is_repeat, "body": self.body}

    def line(self) -> str:
        """Return it as a line."""
        body = self.body if isinstance(self.body, dict) else {}
        if "levelname" in body:  # a log record, as mr posted them
            name, level, told = (str(body.get(key)) for key in ("name", "levelname", "msg"))
            text = f"{_when(body.get('created'))}  {name:40.40}  {level:>9}  {told}"
        elif "kind" in body:
            many = f" ({body['count']} times)" if body.get("count", 1) > 1 else ""
            text = f"{body.get('level')} {body['kind']}: {body.get('subject')}{many}"
        else:
            named = " ".join(f"{name}={value}" for name, value in self.headers.items())
            text = f"{named} {json.dumps(self.body)[:2000]}"
        return f"{'(repeat) ' if self.is_repeat else ''}{text}"


class Listener(ThreadingHTTPServer):
    """Accepts POSTs and passes them on.

    Args:
        host: Where to listen.
        port: 0 takes a free one.
        key: The key that must have signed them; empty: none.
        say: Gets each arrival; called by several threads.
    """

    def __init__(self, host: str, port: int, key: str, say: Callable[[Arrival], None]) -> None:
        super().__init__((host, port), _HttpHandler)
        self.key = key
        self.say = say
        self._known: OrderedDict[str, None] = OrderedDict()

    def is_repeat(self, delivery_id: str) -> bool:
        """Tell whether a delivery id was seen before, and remember it."""
        if delivery_id in self._known:
            return True
        self._known[delivery_id] = None
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return False


class _HttpHandler(BaseHTTPRequestHandler):
    server: Listener
    timeout = _CALL_S

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not _LENGTH.fullmatch(length) or int(length) > MAX_BODY_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        key, server = self.server.key, self.server
        if key and not signing.is_valid(key, self.headers, time.time(), body):  # type: ignore[arg-type]  # a Message looks names up in any case
            self._answer(401)
            return
        shown = {name: self.headers[name] for name in _SHOWN if name in self.headers}
        repeat = server.is_repeat(shown.get(signing.DELIVERY_ID, ""))
        is_form = self.headers.get_content_subtype() == _FORM
        server.say(Arrival(shown, _decoded(body, is_form=is_form), repeat))
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: arrivals are printed elsewhere."""


def _when(created: object) -> str:
    try:
        return render.instant(float(str(created)))
    except (ValueError, OverflowError, OSError):
        return str(created)


def _decoded(body: bytes, *, is_form: bool) -> Any:
    try:
        if is_form:
            return dict(parse_qsl(body.decode(), max_num_fields=_MAX_FIELDS))
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
