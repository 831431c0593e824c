"""The writer ``http``: posts a result as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from jobx.actors.egress import signing
from jobx.actors.egress.writers import mr_format
from jobx.actors.egress.writers.base import Names, Options, Result, Writer
from jobx.errors import InvalidInput


class PostOptions(Options, frozen=True, kw_only=True):
    """Options of the writer ``http``."""

    #: The receiver; it must be in the settings or be allowed by ``outbound.allow``.
    url: str = ""


class PostWriter(Writer[PostOptions]):
    """Posts the document that GET of the result gives; the receiver answers with 2xx.

    In the format of mr it is the list of pairs.

    The result is read several times: for its size, for its signature, and to send it.
    """

    name: ClassVar[str] = "http"
    options: ClassVar[type[Any]] = PostOptions

    def defaults(self) -> Mapping[str, Any]:
        """Return the deployment's URL."""
        return {"url": self.site.settings.results.http_url}

    def check(self, options: PostOptions) -> None:
        """Refuse an invalid URL, and one that is not allowed."""
        if not options.url:
            raise InvalidInput("result writer http", "no url", "needs results.http_url or a url")
        self.site.outbound.check("result writer http", options.url)

    def place(self, names: Names, options: PostOptions) -> str:
        """Return the origin; the rest of a URL may be a secret."""
        del names
        return self.site.outbound.check("result writer http", options.url).origin

    def write(self, result: Result, options: PostOptions) -> None:
        """Post the result; see ``Outbound.post``."""
        target = self.site.outbound.check("result writer http", options.url)
        limits = self.site.settings.results
        document = mr_format.document if limits.format == mr_format.NAME else Result.document
        size_bytes = sum(map(len, document(result)))
        names, now_at = result.names, self.site.now_at()
        headers = {
            "Content-Type": "application/json",
            "X-REQUEST-ID": names.request_id,
            "X-WORKFLOW-NAME": names.workflow,
            "X-JOB-NAME": names.job,
            **signing.headers(limits.http_key, result.delivery_id, now_at, document(result)),
        }
        self.site.outbound.post(target, document(result), size_bytes, headers, limits.time_limit_s)
