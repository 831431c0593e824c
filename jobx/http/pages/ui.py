"""What all pages share: the templates, the files beside them, and the policy of the answers."""

from __future__ import annotations

import functools
import hashlib
import mimetypes
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeAlias

import falcon
from falcon.asgi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

import jobx
from jobx.errors import JobxError
from jobx.http import errors
from jobx.http.pages import shown
from jobx.http.resources.site import Site
from jobx.http.writing import encoding
from jobx.meanings import meaning_of

#: Where the pages begin.
ROOT: Final = "/ui"
#: Nothing comes from elsewhere, and nothing in a page runs. Pages send their origin to themselves
#: only; without one, the door could not tell a form of ours from one of elsewhere.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_FILES: Final = "static"


def asked(req: Request, names: Iterable[str]) -> dict[str, Any]:
    """Return the parameters of a query, None for missing ones; see ``Page.query_names``."""
    missing = {name: None for name in names if not name.endswith(".")}
    return {**missing, **req.params}


@functools.cache
def _templates() -> Environment:
    """Return the templates, the same for all pages; read when the first one is asked for."""
    environment = Environment(
        loader=PackageLoader("jobx.http.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=shown.text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "instant": shown.instant,
        "iso": shown.iso,
        "duration": shown.duration,
        "number": shown.number,
        "size": shown.size,
        "as_json": shown.as_json,
        "given": shown.Given,
    }
    environment.globals |= {
        "query": lambda *given, **changed: urllib.parse.urlencode(shown.query(*given, **changed)),
        "version": jobx.__version__,
    }
    return environment


class Ui:
    """The pages of one web worker.

    Args:
        site: What its JSON addresses have, too: the pages ask the node the same questions.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.node = site.node

    def send(
        self, req: Request, resp: Response, template: str, status: int = 200, **values: Any
    ) -> None:
        """Make ``resp`` a page.

        Args:
            req: What is answered; its address says how far up the root is.
            resp: The answer.
            template: The name of a template.
            status: The status.
            values: What the template shows.
        """
        up = _up(req)
        text = (
            _templates()
            .get_template(template)
            .render(up=up, api=f"{up}../", now=time.time(), **values)
        )
        resp.status = status
        resp.content_type = falcon.MEDIA_HTML
        resp.data = text.encode(errors="replace")
        resp.set_headers(_HEADERS)

    def redirect(self, resp: Response, path: str, params: Mapping[str, Any]) -> None:
        """Lead to an address without its empty parameters, which forms send, too.

        The way begins with ``./`` and is quoted: no name in an address can make it lead elsewhere.
        """
        query = urllib.parse.urlencode({name: one for name, one in params.items() if one}, True)
        place = urllib.parse.quote(path.rpartition("/")[2], safe="")
        resp.status = 303
        resp.set_header("Location", f"./{place}" + (query and f"?{query}"))

    def send_error(self, req: Request, resp: Response, error: JobxError) -> None:
        """Make ``resp`` a page that says what is wrong."""
        meaning = meaning_of(type(error))
        self.send_problem(req, resp, meaning.status, meaning.title, str(error))
        errors.set_retry(resp, error)

    def send_problem(
        self, req: Request, resp: Response, status: int, title: str, detail: str
    ) -> None:
        """Make ``resp`` a page about what went wrong."""
        self.send(req, resp, "problem.html", status, title=title, detail=detail, code=status)

    @functools.cached_property
    def files(self) -> dict[str, File]:
        """The style sheet and the scripts, by name."""
        folder = files("jobx.http.pages") / _FILES
        return {one.name: File.of(one) for one in folder.iterdir() if one.is_file()}


@dataclass(frozen=True, slots=True)
class File:
    """A file that pages use."""

    content: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, path: Traversable) -> File:
        """Read a file."""
        content = path.read_bytes()
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if media_type.startswith("text/"):
            media_type += "; charset=utf-8"
        return cls(content, media_type, hashlib.sha256(content).hexdigest()[:16])


#: Answers one method of one page: gets the Ui, a request, its response, and what is named in the
#: address.
PageResponder: TypeAlias = Callable[..., Awaitable[None]]


async def send_file(ui: Ui, req: Request, resp: Response, name: str) -> None:
    """Answer with a file that pages use; a browser that has it gets 304."""
    found = ui.files.get(name)
    if found is None:
        ui.send_problem(req, resp, 404, "There is no such file", f"no page uses {name[:80]!r}")
        return
    resp.set_headers(_HEADERS)
    resp.content_type = found.media_type
    resp.data = found.content
    encoding.tag_as(req, resp, found.tag)


def _up(req: Request) -> str:
    """Return the relative way from an address to the root of the pages.

    The application may be below any prefix that a proxy removes, so no page has an absolute link.
    """
    raw = req.scope.get("raw_path") or req.path.encode()
    return "../" * (raw.partition(b"?")[0].count(b"/") - 2) or "./"
