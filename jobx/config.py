"""Settings: what can be set, in which section, and what holds where nothing is said.

Where they are read from is the matter of ``jobx.config_loading``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
#: Seconds, at most a year: more is as good as no limit, and no timer takes infinity.
PositiveFloat = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
#: A name or an address, without a port.
HostName = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?)$")]
#: Keys as Standard Webhooks has them, ``whsec_`` and base64, or any other text without blanks.
SigningKeys = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^((whsec_([A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2,4}={0,2}|(?!whsec_)\S+)( +|$))*$"
    ),
]
Level = Literal["debug", "info", "warning", "error", "critical"]

ENV_PREFIX: Final = "JOBX_"
#: Variables of that prefix that are no settings: the file of settings, what builds and tests JobX,
#: and what handlers in shell get, which may call commands of JobX.
OTHER_VARIABLES: Final = frozenset(
    ENV_PREFIX + name
    for name in (
        *("CONFIG", "COMPILE", "REQUIRE_SERVICES"),
        *("CHAOS_REQUESTS", "CHAOS_S", "CHAOS_SEED"),
        *("CALL", "REQUEST", "WORKFLOW", "JOB", "STEP", "VERTEX", "ATTEMPT"),
    )
)
#: Ends of names of settings whose values are shown to nobody.
_SECRET: Final = ("password", "_key", "_uri", "options", "secrets")
#: Longest name that a Unix socket may have, with its closing zero byte: 108.
MAX_SOCKET_PATH_BYTES: Final = 107


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections. Their text shows no secret."""

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        fields = (f"{n}={'a secret' if is_secret(n) else repr(v)}" for n, v in values.items())
        return f"{type(self).__name__}({', '.join(fields)})"


class NodeSettings(Section, frozen=True, kw_only=True):
    """What a node is and where it keeps its state."""

    #: Folder of the store, the blobs, the gateway's socket and the lock.
    data_dir: str = "jobx-data"
    #: Executor processes; 0 means one for each processor.
    executors: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    #: Capabilities that this node offers.
    capabilities: tuple[str, ...] = ("general",)
    #: How long a stopping node waits for running work.
    drain_s: PositiveFloat = 10.0
    #: A node or a web server that stands still for so long is killed and started again.
    watchdog_s: Annotated[float, msgspec.Meta(ge=3, le=31_536_000)] = 30.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: File that the log is appended to; empty: the log goes to stderr.
    log_path: str = ""
    #: Workflows whose jobs this node runs; none: all that are in its store.
    workflows: tuple[str, ...] = ()


class HttpSettings(Section, frozen=True, kw_only=True):
    """The web workers."""

    #: ``HOST:PORT`` or ``unix:PATH``.
    bind: str = "127.0.0.1:8080"
    #: Group whose members may connect to a Unix socket too; empty: only this user may.
    socket_group: str = ""
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    #: Names that clients may call this server by, beside loopback and the address of ``bind``.
    hosts: tuple[HostName, ...] = ()
    #: Largest request body, before and after decompression.
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1, le=60 << 20)] = 8 << 20
    #: Lists, maps and what is in them, in one request body.
    max_items: PositiveInt = 250_000
    #: What all bodies that one web worker holds may take together.
    bodies_bytes: PositiveInt = 256 << 20
    #: What large answers that one web worker has in flight may take together.
    answers_bytes: PositiveInt = 256 << 20
    #: A client that has taken next to nothing of its answer for so long is cut off.
    stall_s: PositiveFloat = 60.0
    #: A head that takes longer to arrive is not waited for.
    head_s: PositiveFloat = 10.0
    #: A body that takes longer to arrive is not waited for.
    body_s: PositiveFloat = 60.0
    #: Connections that one web worker has open at once, if it may open so many files.
    max_connections: PositiveInt = 10_000
    #: Deepest nesting of a JSON body.
    max_depth: Annotated[int, msgspec.Meta(ge=2, le=64)] = 32
    #: Longest that a blocking request waits; it then gets 202 and a location.
    max_wait_s: PositiveFloat = 300.0
    #: A result with more pairs is not sent as one JSON document but streamed.
    max_inline_pairs: PositiveInt = 100_000
    #: Largest page of a listing.
    max_page: PositiveInt = 1000
    #: Header in which a proxy on this machine names its client; empty: none is believed.
    forwarded_header: str = "X-Forwarded-For"


class RequestSettings(Section, frozen=True, kw_only=True):
    """Limits and policies of requests."""

    #: Requests that may be open at once; further ones get 503.
    max_open: PositiveInt = 10_000
    #: What open requests may hold in the node's memory; further ones get 503. 0 means an eighth
    #: of the memory that the node may have.
    max_open_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: A request that was at work at so many deaths of the node, alone at the last one, fails.
    node_deaths: Annotated[int, msgspec.Meta(ge=2, le=100)] = 5
    #: A request that takes longer fails.
    time_limit_s: PositiveFloat = 86_400.0
    #: One invocation that takes longer fails, unless its handler says otherwise.
    invocation_time_limit_s: PositiveFloat = 3600.0
    #: Tries of an invocation whose executor dies under it, before its request fails.
    lost_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    #: How long a finished request and its blobs are kept.
    retention_s: PositiveFloat = 86_400.0
    #: Mapped children of one mapper that may be open at once.
    window: PositiveInt = 4000
    #: Invocations that a request may have in all; 0 means no limit.
    max_invocations: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: How deep mappers may map on.
    max_tree_depth: PositiveInt = 1000


class ExecutorSettings(Section, frozen=True, kw_only=True):
    """The processes that run author code."""

    #: Address space of an executor; 0 means no limit.
    memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 4 << 30
    #: Pairs that one invocation may hold before it spills to disk, by estimated size.
    spill_bytes: PositiveInt = 64 << 20
    #: An executor is replaced after this many invocations …
    recycle_invocations: PositiveInt = 1_000_000
    #: … or when its resident memory has grown by this much.
    recycle_growth_bytes: PositiveInt = 256 << 20
    #: Output of one invocation that is kept.
    output_bytes: PositiveInt = 64 << 10
    #: Largest value that travels inside a frame and an event; larger ones become blobs.
    inline_bytes: PositiveInt = 64 << 10
    #: Folders whose programs may run handlers of the languages executable and shell.
    programs: tuple[str, ...] = ("/bin", "/usr/bin", "/usr/local/bin")
    #: What one invocation of a WebAssembly module may burn; an instruction burns about one.
    wasm_fuel: PositiveInt = 100_000_000_000
    #: Memory of a WebAssembly module.
    wasm_memory_bytes: PositiveInt = 256 << 20
    #: Environment variables that author code may see.
    environment: tuple[str, ...] = ("PATH", "LANG", "LC_ALL", "TZ")


class OutboundSettings(Section, frozen=True, kw_only=True):
    """Where a node may call over HTTP; what other settings name as a URL it may call anyway."""

    #: Origins: ``scheme://host[:port]``; ``*`` for any host, ``*.name`` for those below a name.
    allow: tuple[str, ...] = ()
    #: Networks whose addresses may be called though they are not public.
    networks: tuple[str, ...] = ()
    #: Certificates (PEM) of authorities that are trusted beside those of the system.
    ca_file: str = ""


class MailSettings(Section, frozen=True, kw_only=True):
    """The server that takes mail."""

    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 25
    #: Address that mail comes from; without one nothing is sent.
    sender: str = ""
    #: ``starttls`` and ``tls`` check the server's certificate.
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""


class NotifySettings(Section, frozen=True, kw_only=True):
    """Who hears of what goes wrong: the log, and by mail or HTTP where those are set."""

    #: Notifications below a channel's level are not sent there.
    log_level: Level = "info"
    #: Addresses that get mail; none: no mail.
    email_to: tuple[str, ...] = ()
    email_level: Level = "error"
    email_subject: str = "[JobX] $level: $subject"
    #: Where notifications are posted to; empty: nowhere.
    http_url: str = ""
    http_level: Level = "info"
    #: Keys that sign what is posted, blanks between them; empty: not signed.
    http_key: SigningKeys = ""


class ResultSettings(Section, frozen=True, kw_only=True):
    """Where results go beside the store, and how hard that is tried."""

    #: Writer of jobs that name none: ``inline``, ``file``, ``email``, ``http``, ``object``, or …
    writer: str = "inline"
    #: … one of these: subclasses of Writer by dotted path, ``package.module:Class``.
    writers: tuple[str, ...] = ()
    #: Tries before a delivery is given up.
    attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    #: Wait before the second try; doubles with each further try, and varies by half.
    backoff_s: PositiveFloat = 1.0
    max_backoff_s: PositiveFloat = 300.0
    #: One try to deliver a result that takes longer has failed.
    time_limit_s: PositiveFloat = 300.0
    #: Folder of the writer ``file``; empty: it cannot be used.
    file_path: str = ""
    #: It writes a folder with a file for each key instead of one file.
    file_per_key: bool = False
    #: Who gets the mail of the writer ``email``.
    email_to: tuple[str, ...] = ()
    email_subject: str = "Result of $workflow/$job"
    email_body: str = "Request $request_id of $workflow/$job has $pairs pairs; they are attached.\n"
    #: A result that is larger as JSON is not mailed.
    email_max_bytes: PositiveInt = 10 << 20
    #: Where the writer ``http`` posts to.
    http_url: str = ""
    #: Keys that sign what it posts, blanks between them; empty: not signed.
    http_key: SigningKeys = ""
    #: Folder of the writer ``object``, a URL that fsspec opens.
    object_url: str = ""


class FilesSettings(Section, frozen=True, kw_only=True):
    """The shared file system ``FS`` of author code."""

    #: Where it is: ``file:///…``, ``s3://bucket/prefix``, ``sftp://user@host/…``, ``tahoe:`` or
    #: ``memory://``. Empty: there is none, and ``FS`` is None.
    url: str = ""
    #: What the files of one workflow may take together; 0 means no limit.
    quota_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: Files that no writer finished are removed after this.
    temp_age_s: PositiveFloat = 86_400.0
    #: How long to wait for one answer of a store elsewhere.
    timeout_s: PositiveFloat = 60.0
    #: More arguments of the back end, credentials among them; as a variable it is JSON.
    options: dict[str, Any] = {}
    #: Of Tahoe-LAFS: the directory, and the gateway's URL.
    tahoe_dir_uri: str = ""
    tahoe_webapi_url_prefix: str = ""

    @property
    def location(self) -> str:
        """The URL; a Tahoe directory is enough to mean that one."""
        return self.url or ("tahoe:" if self.tahoe_dir_uri else "")


#: A module and a name in it.
DottedPath = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
SecretSource = Annotated[str, msgspec.Meta(pattern=r"^(env:[A-Za-z_]\w*|file:.+)$")]


class ScopeSettings(Section, frozen=True, kw_only=True):
    """What the handlers of a workflow find in scope beside the names that all have."""

    #: By workflow: a callable that returns the names, ``package.module:callable``.
    factories: dict[str, DottedPath] = {}
    #: Folders that these are imported from, beside what is installed.
    path: tuple[str, ...] = ()
    #: What factories are handed, by name: where each is, ``env:VARIABLE`` or ``file:/path``.
    secrets: dict[str, SecretSource] = {}


class Settings(Section, frozen=True, kw_only=True):
    """All settings of a process."""

    node: NodeSettings = NodeSettings()
    http: HttpSettings = HttpSettings()
    requests: RequestSettings = RequestSettings()
    executors: ExecutorSettings = ExecutorSettings()
    outbound: OutboundSettings = OutboundSettings()
    mail: MailSettings = MailSettings()
    notify: NotifySettings = NotifySettings()
    results: ResultSettings = ResultSettings()
    files: FilesSettings = FilesSettings()
    scope: ScopeSettings = ScopeSettings()

    @property
    def data_dir(self) -> Path:
        """The data folder as an absolute path."""
        return Path(self.node.data_dir).expanduser().absolute()

    @property
    def store_path(self) -> Path:
        """The file of the embedded store."""
        return self.data_dir / "jobx.sqlite"

    @property
    def blob_path(self) -> Path:
        """The folder of the large values of requests."""
        return self.data_dir / "blobs"

    @property
    def gateway_path(self) -> Path:
        """The socket of the node's gateway.

        It is in the data folder, unless that has too long a path for the name of a socket: then it
        is in a folder of this user's own among the temporary ones.
        """
        path = self.data_dir / "gateway.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:20]
        return Path(tempfile.gettempdir()) / f"jobx-{os.getuid()}" / f"{digest}.sock"

    @property
    def executor_count(self) -> int:
        """Executor processes to start."""
        return self.node.executors or (os.cpu_count() or 1)


def without_secrets(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings of shared files, and without any secret."""
    prefix = f"{ENV_PREFIX}FILES_"
    named = {source.removeprefix("env:") for source in settings.scope.secrets.values()}
    return {
        name: text
        for name, text in environ.items()
        if not name.startswith(prefix) and not is_secret(name.lower()) and name not in named
    }


def is_secret(name: str) -> bool:
    """Return whether nobody may see the value of a setting of that name."""
    return name.endswith(_SECRET)
