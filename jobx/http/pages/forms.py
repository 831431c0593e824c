"""Forms of pages: their token, and their fields.

The door refuses what a page of another origin sends (``door/origins.py``). The token is a second
lock: a random number that only pages of ours show, and that the browser also sends in a cookie that
no script and no other site can use.
"""

from __future__ import annotations

import hmac
import re
import secrets
import urllib.parse
from typing import Final

from falcon.asgi import Request, Response

from jobx.config_sections import HttpSettings
from jobx.errors import ForeignOrigin, InvalidInput, UnsupportedMedia
from jobx.http.reading import bodies

#: Name of the cookie, and of the field. The cookie has no path, so a browser sends it to the folder
#: of the page, whatever prefix that is below.
COOKIE: Final = "jobx_form"
TOKEN: Final = "token"  # noqa: S105 - a name
MEDIA_FORM: Final = "application/x-www-form-urlencoded"
MAX_FORM_BYTES: Final = 1 << 20
MAX_FIELDS: Final = 1000
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22}")


def token(req: Request, resp: Response) -> str:
    """Return the token for a form, and have the browser keep it."""
    known = _known(req)
    found = known or secrets.token_urlsafe(16)
    if known is None:
        is_secure = req.forwarded_scheme == "https"
        resp.set_cookie(COOKIE, found, http_only=True, same_site="Strict", secure=is_secure)
    return found


async def fields(req: Request, settings: HttpSettings) -> dict[str, str]:
    """Return the fields of a form that a page of ours sent; lines end as in Unix.

    Raises:
        UnsupportedMedia: It is no form.
        TooLarge: It is larger than a form may be.
        InvalidInput: A field is repeated, or there are too many.
        ForeignOrigin: It has not the token of its page.
    """
    content_type = (req.content_type or "none").partition(";")[0].strip().lower()
    if content_type != MEDIA_FORM:
        raise UnsupportedMedia("header Content-Type", content_type[:80], f"send {MEDIA_FORM}")
    body = await bodies.read(req, min(MAX_FORM_BYTES, settings.max_body_bytes))
    try:
        pairs = urllib.parse.parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise InvalidInput("form", f"{len(body)} bytes", f"cannot be read: {error}") from error
    found = {name: value.replace("\r\n", "\n") for name, value in pairs}
    if len(found) != len(pairs):
        raise InvalidInput("form", f"{len(pairs)} fields", "has a field twice")
    known = _known(req)
    if known is None or not hmac.compare_digest(known.encode(), found.get(TOKEN, "").encode()):
        reason = "is not that of this page; open the page again, with cookies"
        raise ForeignOrigin("token of the form", "another", reason)
    return found


def _known(req: Request) -> str | None:
    values = req.get_cookie_values(COOKIE) or []
    return next((value for value in values if _TOKEN.fullmatch(value)), None)
