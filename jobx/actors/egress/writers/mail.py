"""The writer ``email``: mails a result as a JSON attachment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from jobx.actors.egress.mailer import DELIVERY_ID, Mailer, compose
from jobx.actors.egress.writers import mr_format
from jobx.actors.egress.writers.base import Names, Options, Result, Writer, WriterSite, fill
from jobx.errors import ConfigError, InvalidInput, TooLarge

_WHERE = "result writer email"


class MailOptions(Options, frozen=True, kw_only=True):
    """Options of the writer ``email``."""

    to: tuple[str, ...] = ()
    #: Templates over $workflow, $job, $request_id and $pairs.
    subject: str = ""
    body: str = ""


class MailWriter(Writer[MailOptions]):
    """Mails results; a repeat has the same Message-ID and X-DELIVERY-ID."""

    name: ClassVar[str] = "email"
    options: ClassVar[type[Any]] = MailOptions

    def __init__(self, site: WriterSite) -> None:
        super().__init__(site)
        self._mailer = Mailer(site.settings)

    def defaults(self) -> Mapping[str, Any]:
        """Return the deployment's addresses and templates."""
        settings = self.site.settings.results
        return {
            "to": settings.email_to,
            "subject": settings.email_subject,
            "body": settings.email_body,
        }

    def check(self, options: MailOptions) -> None:
        """Refuse missing addresses, and a template that cannot be filled."""
        if not self.site.settings.mail.sender:
            raise ConfigError("mail.sender", "''", "must be set before results can be mailed")
        if not options.to:
            raise InvalidInput(_WHERE, "nobody", "needs results.email_to or to")
        self._filled(options, Names("w", "j", "r"), 0)
        compose(self.site.settings.mail.sender, options.to, "")

    def place(self, names: Names, options: MailOptions) -> str:
        """Return the addresses."""
        del names
        return ", ".join(options.to)

    def write(self, result: Result, options: MailOptions) -> None:
        """Mail the result; see ``Mailer.send``."""
        subject, body = self._filled(options, result.names, result.count)
        mail = compose(self.site.settings.mail.sender, options.to, subject)
        # Names are atoms of RFC 5322, and so is the "/" between them.
        mail["Message-ID"] = f"<{result.delivery_id}@jobx>"
        mail[DELIVERY_ID] = result.delivery_id
        mail.set_content(body)
        mail.add_attachment(
            self._attachment(result),
            maintype="application",
            subtype="json",
            filename="result.json" if self._is_mr else f"{result.names.request_id}.json",
        )
        self._mailer.send(mail)

    def _attachment(self, result: Result) -> bytes:
        limit, document = self.site.settings.results.email_max_bytes, bytearray()
        for piece in mr_format.document(result) if self._is_mr else result.document():
            document += piece
            if len(document) > limit:
                reason = f"more than results.email_max_bytes ({limit}) cannot be mailed"
                raise TooLarge(_WHERE, f"over {limit} bytes", reason)
        return bytes(document)

    @property
    def _is_mr(self) -> bool:
        return self.site.settings.results.format == mr_format.NAME

    def _filled(self, options: MailOptions, names: Names, pairs: int) -> tuple[str, str]:
        words = {
            "workflow": names.workflow,
            "job": names.job,
            "request_id": names.request_id,
            "pairs": pairs,
        }
        subject = fill(f"{_WHERE}: subject", options.subject, **words)
        return subject, fill(f"{_WHERE}: body", options.body, **words)
