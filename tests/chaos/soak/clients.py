"""Clients of the soak: each ask is asked again until it has an end, as a good client would."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from jobx import values
from tests.chaos.soak.history import Attempt, Ending, History, Violation
from tests.chaos.soak.plan import Ask, digest
from tests.support.authoring import WORKFLOW

#: How long a client asks again before it gives up; times without an answer do not count …
PATIENCE_S: Final = 120.0
#: … but all in all it is no longer than this many times that.
_AT_MOST: Final = 4
#: How long it waits for one answer.
_ANSWER_S: Final = 45.0
_AGAIN_S: Final = 0.1
_BROKEN: Final = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True)
class Answer:
    """An answer; its body was read to the end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def problem(self) -> dict[str, Any]:
        """Return the problem document, or the JSON, that it is."""
        if not self.body or "json" not in self.headers.get("Content-Type", ""):
            return {}
        found = json.loads(self.body)
        return found if isinstance(found, dict) else {}

    @property
    def code(self) -> str:
        """The code of an error, else ``""``."""
        return str(self.problem().get("code", "")) if self.status >= 400 else ""

    @property
    def request_id(self) -> str | None:
        """The request that it is about, as far as it says."""
        said = self.headers.get("X-MR-REQUEST-ID")
        return said or (self.headers.get("Location") or "").rpartition("/")[2] or None


class Patience:
    """How long a client asks again.

    It wears out by answers alone: while a server is struck down, nothing can end.

    Args:
        seconds: How long waits may be that are answered.

    Attributes:
        last: What was heard last.
    """

    def __init__(self, seconds: float) -> None:
        self.last = "no try"
        self._began = time.monotonic()
        self._seconds = seconds
        self._answered_s = 0.0

    @property
    def waited_s(self) -> float:
        """How long it has been."""
        return time.monotonic() - self._began

    @property
    def is_over(self) -> bool:
        """Whether the client gives up."""
        return self._answered_s > self._seconds or self.waited_s > _AT_MOST * self._seconds

    def heard(self, answer: Answer | None, took_s: float) -> None:
        """Take note of an exchange."""
        if answer is None:
            self.last = "no answer"
            return
        self.last = f"{answer.status} {answer.code}".strip()
        if answer.status not in (503, 504, 507):
            self._answered_s += took_s

    def __str__(self) -> str:
        return (
            f"the last answer was {self.last}, after {self.waited_s:.0f} s, and it waited"
            f" {self._answered_s:.0f} s for answers that came"
        )


class Client:
    """Asks over HTTP and notes every exchange.

    Args:
        ports: Where the servers are; each exchange is with any of them.
        history: What is noted.
        patience_s: How long it asks again before it gives up.
        told: Hears of each exchange as well.
    """

    def __init__(
        self,
        ports: Sequence[int],
        history: History,
        patience_s: float = PATIENCE_S,
        told: Callable[[Attempt], object] = lambda _: None,
    ) -> None:
        self._ports = ports
        self._history = history
        self._told = told
        self._patience_s = patience_s

    def run(self, ask: Ask) -> None:
        """Have one thing done."""
        self._history.asks[ask.number] = ask
        began = time.monotonic()
        try:
            self._prelude(ask)
            ending = self._until_ended(ask, began)
        except Exception as error:  # noqa: BLE001 - told by the check, as an ask without an end
            self._history.given_up[ask.number] = f"{type(error).__name__}: {error}"
            return
        if ending is not None:
            self._history.endings[ask.number] = ending

    def _prelude(self, ask: Ask) -> None:
        """Do what a bad client does first."""
        with contextlib.suppress(*_BROKEN):
            if ask.manner == "half":
                self._abandon(ask, 0.5)
            elif ask.manner == "leave":
                self._note_broken(ask)
                self._abandon(ask, 1.0)
        if ask.manner == "twice":
            threading.Thread(target=self._post, args=(ask, Patience(0.0)), daemon=True).start()

    def _port(self) -> int:
        return random.choice(self._ports)

    def _note_broken(self, ask: Ask) -> None:
        now = time.monotonic()
        self._note(Attempt(ask.number, "POST", 0, began_at=now, ended_at=now))

    def _note(self, attempt: Attempt) -> None:
        self._history.attempts.append(attempt)
        self._told(attempt)

    def _abandon(self, ask: Ask, part: float) -> None:
        """Send a part of the request, or all, and leave."""
        body, headers = _body(ask), _headers(ask)
        port = self._port()
        head = [f"POST /job/{WORKFLOW}/{ask.job} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        head += [f"{name}: {text}" for name, text in headers.items()]
        head += [f"Content-Length: {len(body)}", "", ""]
        sent = "\r\n".join(head).encode() + body[: int(len(body) * part)]
        with socket.create_connection(("127.0.0.1", port), 5.0) as connection:
            connection.sendall(sent)

    def _until_ended(self, ask: Ask, began: float) -> Ending | None:
        patience = Patience(self._patience_s)
        while not patience.is_over:
            answer = self._post(ask, patience)
            request_id = answer.request_id if answer else None
            ending = self._ending(ask, answer, began) if answer else None
            if ending is None and request_id is not None:
                ending = self._follow(ask, request_id, began, patience)
            if ending is not None:
                return ending
            time.sleep(_AGAIN_S)
        self._history.given_up[ask.number] = str(patience)
        return None

    def _follow(self, ask: Ask, request_id: str, began: float, patience: Patience) -> Ending | None:
        """Ask for what a request ended with; None: it is not there, or patience is over."""
        if ask.manner == "cancel":
            self._exchange(ask, "DELETE", f"/request/{WORKFLOW}/{request_id}", request_id)
        while not patience.is_over:
            path = f"/request/{WORKFLOW}/{request_id}/result"
            asked = time.monotonic()
            answer = self._exchange(ask, "GET", path, request_id, Prefer="wait=10")
            patience.heard(answer, time.monotonic() - asked)
            if answer is not None:
                if answer.status == 404:
                    return None
                ending = self._ending(ask, answer, began, request_id)
                if ending is not None:
                    return ending
            time.sleep(_AGAIN_S)
        return None

    def _post(self, ask: Ask, patience: Patience) -> Answer | None:
        asked = time.monotonic()
        answer = self._exchange(ask, "POST", f"/job/{WORKFLOW}/{ask.job}", None, _body(ask))
        patience.heard(answer, time.monotonic() - asked)
        return answer

    def _exchange(
        self,
        ask: Ask,
        method: str,
        path: str,
        request_id: str | None,
        body: bytes | None = None,
        **more: str,
    ) -> Answer | None:
        """Ask once and note it; None: there was no whole answer."""
        began = time.monotonic()
        headers = _headers(ask) | more if body is not None else {"Accept": ask.accept} | more
        answer, code = None, ""
        with contextlib.suppress(*_BROKEN):
            answer = self._over_http(method, path, body, headers, ask.manner == "slow")
            code = answer.code
        self._note(
            Attempt(
                ask=ask.number,
                method=method,
                status=answer.status if answer else 0,
                code=code,
                request_id=(answer.request_id if answer else None) or request_id,
                has_retry_after=answer is not None and "Retry-After" in answer.headers,
                began_at=began,
                ended_at=time.monotonic(),
            )
        )
        return answer

    def _over_http(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], is_slow: bool
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=_ANSWER_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            read = _read_slowly(answer) if is_slow else answer.read()
            return Answer(answer.status, answer.headers, read)

    def _ending(
        self, ask: Ask, answer: Answer, began: float, request_id: str | None = None
    ) -> Ending | None:
        """Return the end that an answer tells of."""
        found = request_id or answer.request_id or ""
        waited_s = time.monotonic() - began
        if answer.status == 200 and request_id is None and b'"delivery":' in answer.body[:64]:
            return None  # it is elsewhere; the result is asked for
        if answer.status == 200:
            try:
                pairs = _pairs(answer)
            except (ValueError, KeyError, msgspec.DecodeError) as error:
                self._history.met.append(Violation("wrong", f"an answer to {ask.job}: {error!r}"))
                return None
            seen = digest(pairs)
            detail = "" if seen == ask.digest else repr(pairs)[:200]
            return Ending(ask.number, found, "succeeded", seen, detail=detail, waited_s=waited_s)
        problem = answer.problem()
        state = {"request-failed": "failed", "request-cancelled": "cancelled"}
        if problem.get("code") not in state:
            return None
        return Ending(
            ask.number,
            str(problem.get("request_id") or found),
            state[problem["code"]],
            kind=str(problem.get("kind")),
            type=str(problem.get("exception_type")),
            detail=str(problem.get("detail"))[:300],
            waited_s=waited_s,
        )


def _body(ask: Ask) -> bytes:
    body = {"arguments": ask.arguments, "context": {"ask": ask.number}}
    if ask.accept == "application/msgpack":
        return msgspec.msgpack.encode(body)
    return msgspec.json.encode(body)


def _headers(ask: Ask) -> dict[str, str]:
    is_packed = ask.accept == "application/msgpack"
    headers = {
        "Accept": ask.accept,
        "Content-Type": "application/msgpack" if is_packed else "application/json",
    }
    if ask.key is not None:
        headers["Idempotency-Key"] = ask.key
    if ask.manner in ("poll", "cancel"):
        headers["Prefer"] = "respond-async"
    return headers


def _read_slowly(answer: http.client.HTTPResponse) -> bytes:
    """Read as a client on a bad line does, for a few seconds at most."""
    parts: list[bytes] = []
    while len(parts) < 100 and (part := answer.read(16 << 10)):
        parts.append(part)
        time.sleep(0.02)
    return b"".join(parts) + answer.read()


def _pairs(answer: Answer) -> Any:
    kind = answer.headers.get("Content-Type", "")
    if "ndjson" in kind:
        return [json.loads(line) for line in answer.body.splitlines()]
    if "msgpack" in kind:
        return values.unpack(answer.body)["result"]["pairs"]
    return json.loads(answer.body)["result"]["pairs"]
