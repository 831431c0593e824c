"""The environment variables of ``mr`` 0.3.5, and their fates.

Variables that still mean something become settings. Variables whose effect is gone are refused by
name, unless they ask for what happens anyway. For the rest JobX reports at start that they do
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from jobx.errors import ConfigError

Environ: TypeAlias = Mapping[str, str]
#: Takes a variable's text and the whole environment; returns the setting's text, or None.
Convert: TypeAlias = Callable[[str, Environ], str | None]
Fate: TypeAlias = Literal["setting", "part", "refused", "unused", "ignored"]

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


def _same(text: str, _: Environ) -> str | None:
    return text


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    Attributes:
        fate: ``setting`` (it sets ``says``, a setting by dotted name), ``part`` (it counts with
            another one, which ``says`` names), ``refused``, ``unused`` (JobX reports this at
            start), ``ignored`` (other programs use the name, so nothing is reported).
        says: The setting; or the replacement.
        harmless: Texts that ask for what happens anyway: they are accepted and do nothing.
        convert: Returns the setting's text for the variable's, or None if it sets nothing.
        also: Settings that come with this one, where nothing else sets them.
        alone: Why a variable that could be a setting sets nothing; empty: nobody needs to know.
    """

    fate: Fate
    says: str
    harmless: tuple[str, ...] = ()
    convert: Convert = _same
    alone: str = ""
    also: tuple[tuple[str, Convert], ...] = ()


def _setting(name: str, convert: Convert = _same, **also: Convert) -> Variable:
    more = tuple((name.replace("__", "."), convert) for name, convert in also.items())
    return Variable("setting", name, convert=convert, also=more)


def _text(text: str) -> Convert:
    """Return a conversion to a text that is the same for all."""
    return lambda _, __: text


def _refused(says: str, *harmless: str) -> Variable:
    return Variable("refused", says, harmless)


def _unused(says: str) -> Variable:
    return Variable("unused", says)


def _if_hooked(hook: str) -> Convert:
    """Return a conversion that uses a variable only if its channel is switched on."""
    return lambda text, environ: text if environ.get(hook) == "1" else None


def _kept(text: str, _: Environ) -> str | None:
    return None if text == "1" else _FOR_GOOD_S


def _retention(text: str, environ: Environ) -> str | None:
    if environ.get("MR_DO_CLEANUP_REQUESTS", "1") != "1":
        return None
    return _AT_ONCE_S if re.fullmatch(r"0+(\.0*)?", text) else text


def _header(text: str, _: Environ) -> str | None:
    """Return the HTTP header of a WSGI name; none for the peer itself."""
    return text.removeprefix("HTTP_").replace("_", "-").title() if text != "REMOTE_ADDR" else ""


def _hook_url(text: str, environ: Environ) -> str | None:
    if text != "1":
        return None
    host = environ.get("MR_LOG_HTTP_HOSTNAME") or "localhost"
    port = environ.get("MR_LOG_HTTP_PORT") or "3333"
    path = (environ.get("MR_LOG_HTTP_PATH") or "/").lstrip("/")
    return f"http://{host}:{port}/{path}"


def _etcd_url(text: str, environ: Environ) -> str:
    scheme = "etcds" if environ.get("MR_ETCD_IS_SSL") == "1" else "etcd"
    return f"{scheme}://{text}:{environ.get('MR_ETCD_PORT') or 2379}"


def _nsqd(text: str, environ: Environ) -> str | None:
    """Return the one nsqd of a node that has a name in a cluster."""
    if not environ.get("JOBX_NODE_ID"):
        return None
    if "," in text:
        reason = "a node has one nsqd, the one beside it: set bridge.nsqd"
        raise ConfigError("MR_NSQD_HOSTS", repr(text), reason)
    return text if re.search(r":\d+$", text) else f"{text}:4150"


def _runs_nothing(text: str, _: Environ) -> str:
    return "0" if text == "1" else "1"


def _writer(text: str, _: Environ) -> str | None:
    """Return the writer for the name of a class of mr, by the word in it."""
    found = re.search("inline|file|email|http", text.rpartition(".")[2].lower())
    if text.startswith("mr.") and found:
        return found[0]
    reason = "the classes of mr are gone: subclass Writer, and name it in results.writers"
    raise ConfigError("MR_RESULT_WRITER_FQ_CLASS", repr(text), reason)


def _format(_: str, environ: Environ) -> str | None:
    """Return the format of mr for a writer that takes results somewhere."""
    named = _writer(environ["MR_RESULT_WRITER_FQ_CLASS"], environ)
    return None if named == "inline" else "mr"


def _file_path(_: str, environ: Environ) -> str | None:
    named = _writer(environ["MR_RESULT_WRITER_FQ_CLASS"], environ)
    return _RESULTS_PATH if named == "file" else None


def _level(text: str, _: Environ) -> str:
    """Return the name of a level of Python, which counted in any case."""
    return _LEVELS.get(text.lower(), text.lower())


def _literal(text: str, _: Environ) -> str:
    return text.replace("$", "$$")


def _template(variable: str) -> Convert:
    """Return the conversion of a template with ``%(job_name)s`` to one with ``$job``."""

    def place(found: re.Match[str]) -> str:
        name, percent = found.groups()
        if percent:
            return "%"
        if name not in _WORDS:
            known = ", ".join(f"%({word})s" for word in _WORDS)
            raise ConfigError(variable, repr(found.string)[:80], f"may hold {known} and %%")
        return f"${{{_WORDS[name]}}}"

    return lambda text, environ: _PLACE.sub(place, _literal(text, environ))


def _encryption(_: str, environ: Environ) -> str | None:
    """Return that mail on this machine goes as it is, if there is no password in it."""
    host = environ.get("MR_LOG_EMAIL_HOSTNAME") or environ.get("MR_EMAIL_SMTP_HOSTNAME")
    is_here = (host or "localhost") in {"localhost", "127.0.0.1", "::1"}
    return "none" if is_here and not environ.get("MR_LOG_EMAIL_USERNAME") else None


def _files_url(text: str, _: Environ) -> str:
    """Return the URL for the one factory that came with mr."""
    if text == "mr.fs.backend.tahoe.TahoeFilesystemFactory":
        return "tahoe:"
    reason = "is no class of mr: set files.url to what has the files"
    raise ConfigError("MR_FS_FACTORY_FQ_CLASS", repr(text), reason)


def _one_at_a_time(text: str, _: Environ) -> str | None:
    return "1" if text == "0" else None


def _scope_factory(text: str, _: Environ) -> str | None:
    """Return a table of factories with this one for every workflow."""
    module, _dot, name = text.rpartition(".")
    return json.dumps({"*": f"{module}:{name}"})


_ETCD: Final = Variable("part", "MR_ETCD_HOST: it is the store.url")
_NSQD: Final = Variable(
    "setting",
    "bridge.nsqd",
    convert=_nsqd,
    alone="a node works alone without JOBX_NODE_ID, its name in a cluster",
)
_NSQ: Final = _unused("the queues of a cluster need no setting but bridge.nsqd")
_CACHE: Final = _unused("there is no cache of the store, and there never was a working one")
_FAKE: Final = _unused("a node that works alone needs no queue")
_SINK: Final = _refused("set mail.host and mail.port to a server that keeps what it gets", "0")
_HOOK_URL: Final = Variable("part", "MR_LOG_HTTP_HOOK: it is the notify.http_url")

VARIABLES: Final[Mapping[str, Variable]] = MappingProxyType(
    {
        "DEBUG": Variable("ignored", "node.log_level = debug"),
        "MR_ETCD_HOST": _setting("store.url", _etcd_url),
        "MR_ETCD_PORT": _ETCD,
        "MR_ETCD_IS_SSL": _ETCD,
        "ETCD_GEVENT": Variable("ignored", "nothing: it was set by mr itself"),
        "MR_KV_CACHE": _CACHE,
        "MR_CACHE_TYPE": _CACHE,
        "MR_CACHE_REDIS_HOST": _CACHE,
        "MR_CACHE_REDIS_PORT": _CACHE,
        "MR_NSQD_HOSTS": _NSQD,
        "MR_CHANNEL": _NSQ,
        "MR_NSQ_MAX_IN_FLIGHT": _NSQ,
        "MR_USE_FAKE_QUEUE": _FAKE,
        "MR_FAKE_QUEUE_SPOOL_PATH": _FAKE,
        "MR_FAKE_QUEUE_SPOOL_WRITE": _FAKE,
        "MR_MULTITHREADED": _setting("node.executors", _one_at_a_time),
        "MR_WORKFLOW_NAMES": _setting("node.workflows"),
        "MR_CONSUME": _setting("node.front_end", _runs_nothing),
        "MR_SYSTEM_CAPABILITIES": _setting("node.capabilities"),
        "MR_WORKFLOW_SCOPE_FACTORY_FQ_CLASS": _setting("scope.factories", _scope_factory),
        "MR_HANDLER_UPDATE_CHECK_INTERVAL_S": _unused("a node sees changed handlers in a second"),
        "MR_DO_CLEANUP_REQUESTS": _setting("requests.retention_s", _kept),
        "MR_CLEANUP_MANDATORY_QUIET_PERIOD_S": _setting("requests.retention_s", _retention),
        "MR_REMOTE_ADDR_HEADER": _setting("http.forwarded_header", _header),
        "MR_RESULT_WRITER_FQ_CLASS": _setting(
            "results.writer", _writer, results__format=_format, results__file_path=_file_path
        ),
        "MR_RESULT_FILE_WRITER_OUTPUT_PATH": _setting("results.file_path"),
        "MR_RESULT_FILE_WRITER_WRITE_AS_DIRECTORY": _setting("results.file_per_key"),
        "MR_RESULT_EMAIL_WRITER_TO_LIST": _setting("results.email_to"),
        "MR_RESULT_EMAIL_WRITER_SUBJECT_TEMPLATE": _setting(
            "results.email_subject", _template("MR_RESULT_EMAIL_WRITER_SUBJECT_TEMPLATE")
        ),
        "MR_RESULT_EMAIL_WRITER_TEXT_BODY_TEMPLATE": _setting(
            "results.email_body", _template("MR_RESULT_EMAIL_WRITER_TEXT_BODY_TEMPLATE")
        ),
        "MR_RESULT_HTTP_WRITER_SERVER_URL": _setting("results.http_url"),
        "MR_EMAIL_SMTP_HOSTNAME": _setting("mail.host"),
        "MR_EMAIL_SMTP_FROM_EMAIL": _setting("mail.sender", mail__encryption=_encryption),
        "DUI_EMAIL_SINK_TO_FILE": _SINK,
        "MR_FS_FACTORY_FQ_CLASS": _setting("files.url", _files_url),
        "MR_FS_TAHOE_DIR_URI": _setting("files.tahoe_dir_uri"),
        "MR_FS_TAHOE_WEBAPI_URL_PREFIX": _setting("files.tahoe_webapi_url_prefix"),
        "MR_LOG_FILEPATH": _setting("node.log_path"),
        "MR_DO_STREAM_LOG": _unused("the log goes to stderr, or else to node.log_path"),
        "MR_HANDLER_DEBUG": _unused("jobx request trace --detail shows what a handler writes"),
        "MR_HANDLER_LOG_LEVEL": _unused("what LOG writes is kept with its invocation"),
        "MR_LOG_EMAIL_HOOK": Variable("part", "MR_LOG_EMAIL_TO: 0 switches mail off"),
        "MR_LOG_EMAIL_HOSTNAME": _setting("mail.host", _if_hooked("MR_LOG_EMAIL_HOOK")),
        "MR_LOG_EMAIL_FROM": _setting("mail.sender", _if_hooked("MR_LOG_EMAIL_HOOK")),
        "MR_LOG_EMAIL_TO": _setting(
            "notify.email_to",
            _if_hooked("MR_LOG_EMAIL_HOOK"),
            notify__email_level=_text("info"),
            notify__email_subject=_text("JobX Notification"),
            mail__sender=_text("mapreduce@local"),
            mail__encryption=_encryption,
        ),
        "MR_LOG_EMAIL_SUBJECT": _setting("notify.email_subject", _literal),
        "MR_LOG_EMAIL_USERNAME": _setting("mail.username", _if_hooked("MR_LOG_EMAIL_HOOK")),
        "MR_LOG_EMAIL_PASSWORD": _setting("mail.password", _if_hooked("MR_LOG_EMAIL_HOOK")),
        "MR_LOG_EMAIL_SECURE_KEY_FILEPATH": _refused("mail.encryption, without a key of one's own"),
        "MR_LOG_EMAIL_SECURE_CERTIFICATE_FILEPATH": _refused("mail.encryption, outbound.ca_file"),
        "MR_LOG_EMAIL_HOST_PORT": _setting("mail.port", _if_hooked("MR_LOG_EMAIL_HOOK")),
        "MR_HANDLER_EMAIL_LOG_LEVEL": _setting("notify.email_level", _level),
        "MR_LOG_HTTP_HOOK": _setting("notify.http_url", _hook_url, notify__http_format=_text("mr")),
        "MR_LOG_HTTP_HOSTNAME": _HOOK_URL,
        "MR_LOG_HTTP_PORT": _HOOK_URL,
        "MR_LOG_HTTP_PATH": _HOOK_URL,
        "MR_LOG_HTTP_VERB": _refused("notifications are posted", "post", "POST"),
        "MR_HANDLER_HTTP_LOG_LEVEL": _setting("notify.http_level", _level),
        "HTTP_LISTEN_HOSTNAME": Variable("ignored", "an option of mr_http_notification_listen"),
        "HTTP_LISTEN_PORT": Variable("ignored", "an option of mr_http_notification_listen"),
    }
)
#: ``DUI_EMAIL_<NAME>_SINK_TO_FILE``, one for each sender of mail.
_NAMED_SINK: Final = re.compile(r"DUI_EMAIL_\w+_SINK_TO_FILE")


def settings(environ: Environ) -> list[tuple[str, str]]:
    """Return the settings of old variables: dotted name and text.

    Raises:
        ConfigError: A variable asks for something that is gone; the error names the replacement.
            Or two variables set one setting differently.
    """
    found: dict[str, tuple[str, str]] = {}
    also: dict[str, str] = {}
    for name, variable, text in _given(environ):
        if variable.fate == "refused" and text not in variable.harmless:
            raise ConfigError(name, repr(text), f"is gone; instead: {variable.says}")
        converted = variable.convert(text, environ) if variable.fate == "setting" else None
        if converted is None:
            continue
        first, before = found.setdefault(variable.says, (name, converted))
        if before != converted:
            reason = f"{first} says otherwise, and both are {variable.says}"
            raise ConfigError(name, repr(text), reason)
        for setting, convert in variable.also:
            if (more := convert(text, environ)) is not None:
                also.setdefault(setting, more)
    return list({**also, **{setting: text for setting, (_, text) in found.items()}}.items())


def notes(environ: Environ) -> list[str]:
    """Return a line for each variable that is set and does nothing, here or ever."""
    found = []
    for name, variable, text in _given(environ):
        if variable.fate == "unused":
            found.append(f"{name} is not used: {variable.says}")
        elif variable.alone and variable.convert(text, environ) is None:
            found.append(f"{name} is not used: {variable.alone}")
        elif variable.fate == "part":
            whole = variable.says.partition(":")[0]
            if not environ.get(whole):
                found.append(f"{name} is not used: it goes with {whole}, which is not set")
    return found


def _given(environ: Environ) -> list[tuple[str, Variable, str]]:
    found = [(name, VARIABLES[name], environ[name]) for name in VARIABLES if environ.get(name)]
    named = (name for name in sorted(environ) if _NAMED_SINK.fullmatch(name) and environ[name])
    return [*found, *((name, _SINK, environ[name]) for name in named)]
