"""The environment variables of ``mr`` 0.3.5, and their fates.

Variables that still mean something become settings. Variables whose effect is gone are refused by
name, unless they ask for what happens anyway. For the rest JobX reports at start that they do
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from jobx import mr_conversions as to
from jobx.errors import ConfigError
from jobx.mr_conversions import Convert, Environ

Fate: TypeAlias = Literal["setting", "part", "refused", "unused", "ignored"]


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
    convert: Convert = to.same
    alone: str = ""
    also: tuple[tuple[str, Convert], ...] = ()


def _setting(name: str, convert: Convert = to.same, **also: Convert) -> Variable:
    more = tuple((name.replace("__", "."), convert) for name, convert in also.items())
    return Variable("setting", name, convert=convert, also=more)


def _refused(says: str, *harmless: str) -> Variable:
    return Variable("refused", says, harmless)


def _unused(says: str) -> Variable:
    return Variable("unused", says)


_ETCD: Final = Variable("part", "MR_ETCD_HOST: it is the store.url")
_NSQD: Final = Variable(
    "setting",
    "bridge.nsqd",
    convert=to.nsqd,
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
        "MR_ETCD_HOST": _setting("store.url", to.etcd_url),
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
        "MR_MULTITHREADED": _setting("node.executors", to.one_at_a_time),
        "MR_WORKFLOW_NAMES": _setting("node.workflows"),
        "MR_CONSUME": _setting("node.front_end", to.runs_nothing),
        "MR_SYSTEM_CAPABILITIES": _setting("node.capabilities"),
        "MR_WORKFLOW_SCOPE_FACTORY_FQ_CLASS": _setting("scope.factories", to.scope_factory),
        "MR_HANDLER_UPDATE_CHECK_INTERVAL_S": _unused("a node sees changed handlers in a second"),
        "MR_DO_CLEANUP_REQUESTS": _setting("requests.retention_s", to.kept),
        "MR_CLEANUP_MANDATORY_QUIET_PERIOD_S": _setting("requests.retention_s", to.retention),
        "MR_REMOTE_ADDR_HEADER": _setting("http.forwarded_header", to.header),
        "MR_RESULT_WRITER_FQ_CLASS": _setting(
            "results.writer",
            to.writer,
            results__format=to.result_format,
            results__file_path=to.file_path,
        ),
        "MR_RESULT_FILE_WRITER_OUTPUT_PATH": _setting("results.file_path"),
        "MR_RESULT_FILE_WRITER_WRITE_AS_DIRECTORY": _setting("results.file_per_key"),
        "MR_RESULT_EMAIL_WRITER_TO_LIST": _setting("results.email_to"),
        "MR_RESULT_EMAIL_WRITER_SUBJECT_TEMPLATE": _setting(
            "results.email_subject", to.template("MR_RESULT_EMAIL_WRITER_SUBJECT_TEMPLATE")
        ),
        "MR_RESULT_EMAIL_WRITER_TEXT_BODY_TEMPLATE": _setting(
            "results.email_body", to.template("MR_RESULT_EMAIL_WRITER_TEXT_BODY_TEMPLATE")
        ),
        "MR_RESULT_HTTP_WRITER_SERVER_URL": _setting("results.http_url"),
        "MR_EMAIL_SMTP_HOSTNAME": _setting("mail.host"),
        "MR_EMAIL_SMTP_FROM_EMAIL": _setting("mail.sender", mail__encryption=to.encryption),
        "DUI_EMAIL_SINK_TO_FILE": _SINK,
        "MR_FS_FACTORY_FQ_CLASS": _setting("files.url", to.files_url),
        "MR_FS_TAHOE_DIR_URI": _setting("files.tahoe_dir_uri"),
        "MR_FS_TAHOE_WEBAPI_URL_PREFIX": _setting("files.tahoe_webapi_url_prefix"),
        "MR_LOG_FILEPATH": _setting("node.log_path"),
        "MR_DO_STREAM_LOG": _unused("the log goes to stderr, or else to node.log_path"),
        "MR_HANDLER_DEBUG": _unused("jobx request trace --detail shows what a handler writes"),
        "MR_HANDLER_LOG_LEVEL": _unused("what LOG writes is kept with its invocation"),
        "MR_LOG_EMAIL_HOOK": Variable("part", "MR_LOG_EMAIL_TO: 0 switches mail off"),
        "MR_LOG_EMAIL_HOSTNAME": _setting("mail.host", to.if_mailed),
        "MR_LOG_EMAIL_FROM": _setting("mail.sender", to.if_mailed),
        "MR_LOG_EMAIL_TO": _setting(
            "notify.email_to",
            to.if_mailed,
            notify__email_level=to.always("info"),
            notify__email_subject=to.always("JobX Notification"),
            mail__sender=to.always("mapreduce@local"),
            mail__encryption=to.encryption,
        ),
        "MR_LOG_EMAIL_SUBJECT": _setting("notify.email_subject", to.literal),
        "MR_LOG_EMAIL_USERNAME": _setting("mail.username", to.if_mailed),
        "MR_LOG_EMAIL_PASSWORD": _setting("mail.password", to.if_mailed),
        "MR_LOG_EMAIL_SECURE_KEY_FILEPATH": _refused("mail.encryption, without a key of one's own"),
        "MR_LOG_EMAIL_SECURE_CERTIFICATE_FILEPATH": _refused("mail.encryption, outbound.ca_file"),
        "MR_LOG_EMAIL_HOST_PORT": _setting("mail.port", to.if_mailed),
        "MR_HANDLER_EMAIL_LOG_LEVEL": _setting("notify.email_level", to.level),
        "MR_LOG_HTTP_HOOK": _setting(
            "notify.http_url", to.hook_url, notify__http_format=to.always("mr")
        ),
        "MR_LOG_HTTP_HOSTNAME": _HOOK_URL,
        "MR_LOG_HTTP_PORT": _HOOK_URL,
        "MR_LOG_HTTP_PATH": _HOOK_URL,
        "MR_LOG_HTTP_VERB": _refused("notifications are posted", "post", "POST"),
        "MR_HANDLER_HTTP_LOG_LEVEL": _setting("notify.http_level", to.level),
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
            found += _left_alone(name, variable, environ)
    return found


def store_notes(environ: Environ) -> list[str]:
    """Return those of ``notes`` that are about where the store is."""
    parts = [(name, variable) for name, variable, _ in _given(environ) if variable is _ETCD]
    return [note for name, variable in parts for note in _left_alone(name, variable, environ)]


def _left_alone(name: str, part: Variable, environ: Environ) -> list[str]:
    """Return the note about a part without its whole."""
    whole = part.says.partition(":")[0]
    is_whole = environ.get(whole)
    return [] if is_whole else [f"{name} is not used: it goes with {whole}, which is not set"]


def _given(environ: Environ) -> list[tuple[str, Variable, str]]:
    found = [(name, VARIABLES[name], environ[name]) for name in VARIABLES if environ.get(name)]
    named = (name for name in sorted(environ) if _NAMED_SINK.fullmatch(name) and environ[name])
    return [*found, *((name, _SINK, environ[name]) for name in named)]
