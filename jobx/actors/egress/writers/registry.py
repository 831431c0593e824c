"""The writers of a node, and the choice of one for a request."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from jobx.actors.egress.writers.base import Names, Options, Writer, WriterSite
from jobx.actors.egress.writers.files import FileWriter
from jobx.actors.egress.writers.mail import MailWriter
from jobx.actors.egress.writers.objects import ObjectWriter
from jobx.actors.egress.writers.post import PostWriter
from jobx.config_sections import ResultSettings
from jobx.errors import ConfigError, InvalidInput
from jobx.model import Destination, Job

#: The writer of results that are only in the answer.
INLINE: Final = "inline"
_OWN: Final[tuple[type[Writer[Any]], ...]] = (FileWriter, MailWriter, ObjectWriter, PostWriter)
_NO_OPTIONS: Final[Mapping[str, Any]] = {}


class Writers:
    """All writers of a node, by name.

    Args:
        site: What writers may use.

    Raises:
        ConfigError: One of ``results.writers`` is no writer, or ``results.writer`` is unknown.
    """

    def __init__(self, site: WriterSite) -> None:
        self._site = site
        kinds = _kinds(site.settings.results)
        self._writers = {name: kind(site) for name, kind in kinds.items()}
        for writer in self._writers.values():
            msgspec.json.Decoder(writer.options)  # before threads meet them, see ``model``
        self._check_default()

    def choose(self, job: Job, request_id: str, asked: str | None) -> Destination | None:
        """Return the destination of a request's result; None if it is only in the answer.

        Args:
            job: Its job.
            request_id: Its id.
            asked: The writer of the request, or None.

        Raises:
            InvalidInput: Requests of the job may not choose, or an option of the writer is wrong.
            ConfigError: The deployment lacks what the writer needs.
        """
        default = job.result_writer or self._site.settings.results.writer
        if asked not in (None, default) and not job.writer_choice:
            reason = f"job {job.job_name} does not let requests choose a writer"
            raise InvalidInput("result_writer", repr(asked)[:80], reason)
        name = asked or default
        if name == INLINE:
            return None
        writer = self.writer(name)
        # The options of a job belong to its own writer.
        given = job.result_options if name == job.result_writer else _NO_OPTIONS
        options = self.options(name, given)
        writer.check(options)
        names = Names(job.workflow_name, job.job_name, request_id)
        place = writer.place(names, options)
        return Destination(writer=name, options=dict(given), place=place)

    def check(self, job: Job) -> None:
        """Refuse a job whose writer cannot work with its options; raises as ``choose``."""
        self.choose(job, "r", None)

    def writer(self, name: str) -> Writer[Any]:
        """Return a writer.

        Raises:
            InvalidInput: There is none of that name.
        """
        writer = self._writers.get(name)
        if writer is None:
            raise _unknown(name, self._writers)
        return writer

    def options(self, name: str, given: Mapping[str, Any]) -> Options:
        """Return the options of a writer: the given ones, then the deployment's.

        Raises:
            InvalidInput: One is unknown or wrong.
        """
        writer = self.writer(name)
        try:
            options: Options = msgspec.convert({**writer.defaults(), **given}, writer.options)
        except msgspec.ValidationError as error:
            where = f"options of result writer {name}"
            raise InvalidInput(where, ", ".join(given)[:80], str(error)) from error
        return options

    def _check_default(self) -> None:
        name = self._site.settings.results.writer
        if name == INLINE:
            return
        try:
            self.writer(name).check(self.options(name, _NO_OPTIONS))
        except ConfigError:
            raise
        except InvalidInput as error:
            raise ConfigError("results.writer", repr(name), error.args[2]) from error


def check_names(job: Job, settings: ResultSettings) -> None:
    """Refuse a job with an unknown writer or unknown options.

    ``Writers.check`` checks their values too; this function needs only the settings.

    Raises:
        InvalidInput: The writer or an option is wrong.
        ConfigError: One of ``results.writers`` is no writer.
    """
    name = job.result_writer
    if name in (None, INLINE):
        return
    kinds = _kinds(settings)
    if name not in kinds:
        raise _unknown(name, kinds)
    known = kinds[name].options.__struct_fields__
    unknown = ", ".join(option for option in job.result_options if option not in known)
    if unknown:
        reason = f"its options are {', '.join(known)}" if known else "it has no options"
        raise InvalidInput(f"options of result writer {name}", unknown[:80], reason)


def _kinds(settings: ResultSettings) -> dict[str, type[Writer[Any]]]:
    return {kind.name: kind for kind in (*_OWN, *map(_import, settings.writers))}


def _unknown(name: str, known: Iterable[str]) -> InvalidInput:
    words = ", ".join([INLINE, *sorted(known)])
    return InvalidInput("result writer", repr(name)[:80], f"the writers are {words}")


def _import(path: str) -> type[Writer[Any]]:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError("results.writers", repr(path), str(error)) from error
    if not (isinstance(found, type) and issubclass(found, Writer) and hasattr(found, "name")):
        reason = "must be package.module:Class, a subclass of Writer with a name"
        raise ConfigError("results.writers", repr(path), reason)
    return found
