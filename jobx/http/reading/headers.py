"""Reads the rest of a request: preferences, idempotency key, query, address of the client."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import msgspec
from falcon.asgi import Request

from jobx.errors import InvalidInput

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_WORD: Final = rf'(?:{_NAME}|"[^"]*")'
_PREFERENCE: Final = re.compile(
    rf"\s*({_NAME})(?:\s*=\s*({_WORD}))?(?:\s*;\s*{_NAME}(?:\s*=\s*{_WORD})?)*\s*(?:,|$)"
)
#: The form of an Idempotency-Key.
KEY_PATTERN: Final = r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$"
_KEY: Final = re.compile(KEY_PATTERN)
#: In any case, since programs write theirs in several ways.
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


class WaitPreference(msgspec.Struct, frozen=True):
    """How long a client waits for its answer.

    Attributes:
        is_blocking: The client wants the result in this answer.
        wait_s: How long it waits; 0 means not at all.
        applied: The applied preferences, for Preference-Applied; may be empty.
    """

    is_blocking: bool
    wait_s: float
    applied: str = ""


def waiting(req: Request, max_wait_s: float) -> WaitPreference:
    """Return how long the client waits: by ``?blocking=``, then ``Prefer``, then ``max_wait_s``.

    Raises:
        InvalidInput: The query or the header is malformed.
    """
    blocking = flag(req, "blocking")
    prefer = preferences(req.get_header("Prefer"))
    if blocking is False:
        return WaitPreference(is_blocking=False, wait_s=0.0)
    if "wait" in prefer:
        return _waiting_for(prefer["wait"], max_wait_s)
    if "respond-async" in prefer and blocking is None:
        return WaitPreference(is_blocking=False, wait_s=0.0, applied="respond-async")
    return WaitPreference(is_blocking=True, wait_s=max_wait_s)


def waiting_if_preferred(req: Request, max_wait_s: float) -> WaitPreference:
    """Return how long the client waits: by ``Prefer: wait=N``, else not at all.

    Raises:
        InvalidInput: The header is malformed.
    """
    text = preferences(req.get_header("Prefer")).get("wait")
    if text is None:
        return WaitPreference(is_blocking=True, wait_s=0.0)
    return _waiting_for(text, max_wait_s)


def preferences(header: str | None) -> dict[str, str]:
    """Return the preferences of a Prefer header, the first of each name (RFC 7240).

    Raises:
        InvalidInput: It is malformed.
    """
    found: dict[str, str] = {}
    at = 0
    while header and at < len(header):
        match = _PREFERENCE.match(header, at)
        if match is None:
            raise InvalidInput("header Prefer", repr(header)[:80], "not a list of preferences")
        found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
        at = match.end()
    return found


def idempotency_key(req: Request) -> str | None:
    """Return the Idempotency-Key.

    Raises:
        InvalidInput: It is not 1 to 255 printable ASCII characters.
    """
    key = req.get_header("Idempotency-Key")
    if key is None or _KEY.fullmatch(key):
        return key
    reason = "must be 1 to 255 printable ASCII characters"
    raise InvalidInput("header Idempotency-Key", repr(key)[:80], reason)


def check_query(req: Request, *known: str) -> None:
    """Check that each parameter of the query is known and stands once.

    Args:
        req: The request.
        known: Names; one that ends with a dot is the beginning of many.

    Raises:
        InvalidInput: One is not among ``known``, or is repeated.
    """
    if not req.query_string:
        return
    for name, value in req.params.items():
        where = f"query parameter {name[:80]}"
        if name not in known and name[: name.find(".") + 1] not in known:
            names = ", ".join(known) or "no parameter"
            raise InvalidInput(where, repr(value)[:80], f"unknown; this address knows {names}")
        if not isinstance(value, str):
            raise InvalidInput(where, repr(value)[:80], "must stand once")


def flag(req: Request, name: str) -> bool | None:
    """Return a parameter that is ``true`` or ``false``, or None where it is missing.

    ``1`` and ``yes``, ``0`` and ``no`` say the same.

    Raises:
        InvalidInput: It is something else.
    """
    text: str | None = req.get_param(name)
    if text is None:
        return None
    if text.lower() not in _BOOLEANS:
        raise InvalidInput(f"query parameter {name}", repr(text)[:80], "must be true or false")
    return _BOOLEANS[text.lower()]


def page_limit(req: Request, most: int, default: int = 100) -> int:
    """Return the parameter ``limit``: 1 to ``most``.

    Raises:
        InvalidInput: It is something else.
    """
    return number(req, "limit", most, default)


def number(req: Request, name: str, most: int, default: int) -> int:
    """Return a parameter that is a number of 1 to ``most``; the default, if that is more.

    Raises:
        InvalidInput: It is something else.
    """
    text: str | None = req.get_param(name)
    if text is None:
        return min(default, most)
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most:
        return int(text)
    raise InvalidInput(f"query parameter {name}", repr(text)[:80], f"must be 1 to {most}")


def requester_ip(req: Request, header: str) -> str:
    """Return the address of the client, or of the client that a proxy on this machine names.

    A peer on a Unix socket or loopback is a proxy. It wrote the last entry of ``header`` itself,
    whatever its client sent. Without a header no proxy is trusted.
    """
    peer = req.remote_addr
    forwarded = req.get_header(header) if header else None
    if forwarded is None or not (peer == "127.0.0.1" or _is_local(peer)):
        return peer
    last = forwarded.rpartition(",")[2].strip()
    return last if _address(last) else peer


def _is_local(peer: str) -> bool:
    address = _address(peer)
    return address is None or address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _waiting_for(text: str, max_wait_s: float) -> WaitPreference:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        reason = "wait must be a number of seconds"
        raise InvalidInput("header Prefer", f"wait={text[:80]}", reason)
    wait_s = min(float(text), max_wait_s)
    return WaitPreference(is_blocking=True, wait_s=wait_s, applied=f"wait={wait_s:g}")
