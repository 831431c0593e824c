"""How the text of a variable of ``mr`` 0.3.5 becomes the text of a setting.

Each conversion takes the text and the whole environment, and returns None if it sets nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from jobx.errors import ConfigError

Environ: TypeAlias = Mapping[str, str]
#: Takes a variable's text and the whole environment; returns the setting's text, or None.
Convert: TypeAlias = Callable[[str, Environ], str | None]

#: The largest setting in seconds: a year.
_FOR_GOOD_S: Final = "31536000"
#: The shortest that is possible, nearly.
_AT_ONCE_S: Final = "0.001"
#: Where the writer of files wrote, unless a variable said otherwise.
_RESULTS_PATH: Final = "/tmp/mr_results"  # noqa: S108 - it was so
_LEVELS: Final = MappingProxyType({"warn": "warning", "fatal": "critical", "notset": "debug"})
#: The names that templates of results had, and have.
_WORDS: Final = MappingProxyType(
    {"request_id": "request_id", "workflow_name": "workflow", "job_name": "job"}
)
_PLACE: Final = re.compile(r"%(?:\((\w+)\)s|(%)|)")


def same(text: str, _: Environ) -> str | None:
    """Return the text as it is."""
    return text


def always(text: str) -> Convert:
    """Return a conversion to a text that is the same for all."""
    return lambda _, __: text


def if_mailed(text: str, environ: Environ) -> str | None:
    """Return the text, if mr was to send notifications by mail."""
    return text if environ.get("MR_LOG_EMAIL_HOOK") == "1" else None


def kept(text: str, _: Environ) -> str | None:
    """Return how long requests are kept by the switch of their removal."""
    return None if text == "1" else _FOR_GOOD_S


def retention(text: str, environ: Environ) -> str | None:
    """Return how long requests are kept, if they are removed at all."""
    if environ.get("MR_DO_CLEANUP_REQUESTS", "1") != "1":
        return None
    return _AT_ONCE_S if re.fullmatch(r"0+(\.0*)?", text) else text


def header(text: str, _: Environ) -> str | None:
    """Return the HTTP header of a WSGI name; none for the peer itself."""
    return text.removeprefix("HTTP_").replace("_", "-").title() if text != "REMOTE_ADDR" else ""


def hook_url(text: str, environ: Environ) -> str | None:
    """Return the URL of notifications, which mr had in parts."""
    if text != "1":
        return None
    host = environ.get("MR_LOG_HTTP_HOSTNAME") or "localhost"
    port = environ.get("MR_LOG_HTTP_PORT") or "3333"
    path = (environ.get("MR_LOG_HTTP_PATH") or "/").lstrip("/")
    return f"http://{host}:{port}/{path}"


def etcd_url(text: str, environ: Environ) -> str:
    """Return the URL of the store, which mr had in parts."""
    scheme = "etcds" if environ.get("MR_ETCD_IS_SSL") == "1" else "etcd"
    return f"{scheme}://{text}:{environ.get('MR_ETCD_PORT') or 2379}"


def nsqd(text: str, environ: Environ) -> str | None:
    """Return the one nsqd of a node that has a name in a cluster."""
    if not environ.get("JOBX_NODE_ID"):
        return None
    if "," in text:
        reason = "a node has one nsqd, the one beside it: set bridge.nsqd"
        raise ConfigError("MR_NSQD_HOSTS", repr(text), reason)
    return text if re.search(r":\d+$", text) else f"{text}:4150"


def runs_nothing(text: str, _: Environ) -> str:
    """Return whether a node is a front end, by whether mr consumed."""
    return "0" if text == "1" else "1"


def writer(text: str, _: Environ) -> str | None:
    """Return the writer for the name of a class of mr, by the word in it."""
    found = re.search("inline|file|email|http", text.rpartition(".")[2].lower())
    if text.startswith("mr.") and found:
        return found[0]
    reason = "the classes of mr are gone: subclass Writer, and name it in results.writers"
    raise ConfigError("MR_RESULT_WRITER_FQ_CLASS", repr(text), reason)


def result_format(_: str, environ: Environ) -> str | None:
    """Return the format of mr for a writer that takes results somewhere."""
    named = writer(environ["MR_RESULT_WRITER_FQ_CLASS"], environ)
    return None if named == "inline" else "mr"


def file_path(_: str, environ: Environ) -> str | None:
    """Return the folder that the writer of files had unless a variable named another."""
    named = writer(environ["MR_RESULT_WRITER_FQ_CLASS"], environ)
    return _RESULTS_PATH if named == "file" else None


def level(text: str, _: Environ) -> str:
    """Return the name of a level of Python, which counted in any case."""
    return _LEVELS.get(text.lower(), text.lower())


def literal(text: str, _: Environ) -> str:
    """Return a text as a template without names."""
    return text.replace("$", "$$")


def template(variable: str) -> Convert:
    """Return the conversion of a template with ``%(job_name)s`` to one with ``$job``."""

    def place(found: re.Match[str]) -> str:
        name, percent = found.groups()
        if percent:
            return "%"
        if name not in _WORDS:
            known = ", ".join(f"%({word})s" for word in _WORDS)
            raise ConfigError(variable, repr(found.string)[:80], f"may hold {known} and %%")
        return f"${{{_WORDS[name]}}}"

    return lambda text, environ: _PLACE.sub(place, literal(text, environ))


def encryption(_: str, environ: Environ) -> str | None:
    """Return that mail on this machine goes as it is, if there is no password in it."""
    host = environ.get("MR_LOG_EMAIL_HOSTNAME") or environ.get("MR_EMAIL_SMTP_HOSTNAME")
    is_here = (host or "localhost") in {"localhost", "127.0.0.1", "::1"}
    return "none" if is_here and not environ.get("MR_LOG_EMAIL_USERNAME") else None


def files_url(text: str, _: Environ) -> str:
    """Return the URL for the one factory that came with mr."""
    if text == "mr.fs.backend.tahoe.TahoeFilesystemFactory":
        return "tahoe:"
    reason = "is no class of mr: set files.url to what has the files"
    raise ConfigError("MR_FS_FACTORY_FQ_CLASS", repr(text), reason)


def one_at_a_time(text: str, _: Environ) -> str | None:
    """Return the number of executors, if mr ran one thing at a time."""
    return "1" if text == "0" else None


def scope_factory(text: str, _: Environ) -> str | None:
    """Return a table of factories with this one for every workflow."""
    module, _dot, name = text.rpartition(".")
    return json.dumps({"*": f"{module}:{name}"})
