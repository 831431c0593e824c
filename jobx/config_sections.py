"""The sections of the settings: names, types and defaults of each."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from jobx.setting_types import (
    Bytes,
    BytesOrNone,
    Count,
    CountOrNone,
    DottedPath,
    HeaderName,
    HostName,
    Level,
    MailAddress,
    Name,
    PositiveFloat,
    SecretSource,
    SigningKeys,
    VariableName,
    WholePath,
)

#: Name endings of settings with secret values.
_SECRET: Final = ("password", "_key", "_uri", "options", "secrets")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections. Their ``repr`` shows no secret."""

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        fields = (f"{n}={'a secret' if is_secret(n) else repr(v)}" for n, v in values.items())
        return f"{type(self).__name__}({', '.join(fields)})"


class NodeSettings(Section, frozen=True, kw_only=True):
    """The node and the place of its state."""

    #: Name of the node in its cluster.
    id: Name = "local"
    #: Folder of the store, the blobs, the gateway's socket and the lock.
    data_dir: str = "jobx-data"
    #: Executor processes; 0 means one for each processor.
    executors: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    #: Capabilities that this node offers.
    capabilities: tuple[Name, ...] = ("general",)
    #: It takes and coordinates requests, and other nodes run their handlers.
    front_end: bool = False
    #: How long a stopping node waits for running work.
    drain_s: PositiveFloat = 10.0
    #: A node or web server that hangs for this long is killed and restarted.
    watchdog_s: Annotated[float, msgspec.Meta(ge=3, le=31_536_000)] = 30.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: Form of the log: lines for people, or a JSON object a line.
    log_format: Literal["text", "json"] = "text"
    #: Log file; empty: the log goes to stderr.
    log_path: str = ""
    #: Workflows whose jobs this node runs; none: all in its store.
    workflows: tuple[Name, ...] = ()


class StoreSettings(Section, frozen=True, kw_only=True):
    """Where entities, requests and their logs are."""

    #: ``etcd://HOST:PORT,…``, or ``etcds://`` over TLS, and after a slash what all keys begin with.
    #: ``etcd2://`` and ``etcds2://`` speak the v2 API.
    #: Empty: a SQLite file in the data folder.
    url: str = ""
    #: Certificates (PEM) of the authorities of etcd's servers; empty: those that gRPC knows.
    ca_file: str = ""
    #: This node's own certificate and its key (PEM), where etcd's servers ask for one.
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    password: str = ""
    #: What etcd has not answered after this is taken for unanswered.
    timeout_s: PositiveFloat = 2.5
    #: Writes of one transaction: what etcd's servers have as ``--max-txn-ops``. Units of the node
    #: itself have up to 100.
    max_writes: Annotated[int, msgspec.Meta(ge=128, le=1_000_000)] = 128


class ClusterSettings(Section, frozen=True, kw_only=True):
    """The cluster that the node belongs to."""

    #: Name of the cluster; the names of its queues begin with it.
    name: Name = "jobx"
    #: Secret of the cluster, the same for all nodes: at least 32 characters.
    key: str = ""
    #: File with the secret, in place of ``key``; others may not read it.
    key_file: str = ""


class BridgeSettings(Section, frozen=True, kw_only=True):
    """What carries mail between nodes: NSQ."""

    #: ``HOST:PORT`` of the nsqd that has this node's queues; empty: the node works alone.
    nsqd: str = ""
    #: Certificates (PEM) of the authorities of nsqd's; empty: no TLS.
    ca_file: str = ""
    #: This node's own certificate and its key (PEM), where nsqd asks for one.
    cert_file: str = ""
    key_file: str = ""
    #: Authenticates the node, where nsqd asks for it.
    password: str = ""
    #: A node that does not answer for so long is given up by the others.
    deaf_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 5.0


class HttpSettings(Section, frozen=True, kw_only=True):
    """The web workers."""

    #: ``HOST:PORT`` or ``unix:PATH``.
    bind: str = "127.0.0.1:8080"
    #: Group whose members may also connect to a Unix socket; empty: only this user may.
    socket_group: str = ""
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    #: Names of this server for clients, in addition to loopback and the address of ``bind``.
    hosts: tuple[HostName, ...] = ()
    #: Largest request body, before and after decompression.
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1, le=60 << 20)] = 8 << 20
    #: Items (lists, maps and their members) in one request body.
    max_items: Count = 250_000
    #: Bytes of all bodies in one web worker together.
    bodies_bytes: Bytes = 256 << 20
    #: Bytes of all large answers in flight in one web worker together.
    answers_bytes: Bytes = 256 << 20
    #: A client that has read almost nothing of its answer for this long is disconnected.
    stall_s: PositiveFloat = 60.0
    #: Time limit for the arrival of a head.
    head_s: PositiveFloat = 10.0
    #: Time limit for the arrival of a body.
    body_s: PositiveFloat = 60.0
    #: Open connections of one web worker, if it may open so many files.
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    #: Streams of events that one web worker has open.
    max_watchers: Count = 1000
    #: Deepest nesting of a JSON body.
    max_depth: Annotated[int, msgspec.Meta(ge=2, le=64)] = 32
    #: Longest wait of a blocking request; after it the client gets 202 and a location.
    max_wait_s: PositiveFloat = 300.0
    #: A result with more pairs is streamed instead of being sent as one JSON document.
    max_inline_pairs: Count = 100_000
    #: Largest page of a listing.
    max_page: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    #: Header in which a proxy on this machine names its client; empty: none is trusted.
    forwarded_header: HeaderName = "X-Forwarded-For"


class RequestSettings(Section, frozen=True, kw_only=True):
    """Limits and policies of requests."""

    #: Open requests; further ones get 503.
    max_open: Count = 10_000
    #: Bytes of open requests in the node's memory; further requests get 503. 0 means an eighth
    #: of the memory that the node may have.
    max_open_bytes: BytesOrNone = 0
    #: A request fails after so many deaths of the node in a row in which it ran without progress.
    node_deaths: Annotated[int, msgspec.Meta(ge=2, le=100)] = 5
    #: Time limit of a request.
    time_limit_s: PositiveFloat = 86_400.0
    #: Time limit of an invocation, unless its handler has another.
    invocation_time_limit_s: PositiveFloat = 3600.0
    #: Tries of an invocation whose executor dies, before its request fails.
    lost_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    #: How long a finished request and its blobs are kept.
    retention_s: PositiveFloat = 86_400.0
    #: Open children of one mapper.
    window: Count = 8000
    #: Mappers of one request in all; 0 means no limit.
    max_invocations: CountOrNone = 10_000_000
    #: Bytes that the invocations of one request pass on in all, packed; 0 means no limit.
    max_bytes: BytesOrNone = 64 << 30
    #: How deep mappers may map on.
    max_tree_depth: Count = 1000


class RetentionSettings(Section, frozen=True, kw_only=True):
    """What is kept of requests, beyond ``requests.retention_s``, and how much of it."""

    #: The data between the stages of mappers that map no further, for dumps: of requests that did
    #: not succeed, of all, or none.
    data: Literal["failed", "all", "none"] = "failed"
    #: That data of one request, as it is on disk; 0 means no limit.
    data_bytes: BytesOrNone = 64 << 20
    #: Finished requests that are kept, except pinned ones and those with a retention of their job;
    #: the oldest go first. 0 means no limit.
    max_requests: CountOrNone = 0
    #: Bytes of the logs, results and large values of these requests; 0 means no limit.
    max_bytes: BytesOrNone = 0

    def drops_data(self, state: str) -> bool:
        """Tell whether the stages' data of requests that end in a state is removed."""
        return self.data == "none" or (self.data == "failed" and state == "succeeded")


class ExecutorSettings(Section, frozen=True, kw_only=True):
    """Executors, the processes that run author code."""

    #: Address space of an executor; 0 means no limit.
    memory_bytes: BytesOrNone = 4 << 30
    #: Pairs that one invocation may hold before it spills to disk, by estimated size.
    spill_bytes: Bytes = 64 << 20
    #: An executor is replaced after this many invocations …
    recycle_invocations: Count = 1_000_000
    #: … or when its resident memory has grown by this much.
    recycle_growth_bytes: Bytes = 256 << 20
    #: Captured output of one invocation that is kept.
    output_bytes: Bytes = 64 << 10
    #: Largest value that travels inside a frame and an event; larger ones become blobs. 0: what
    #: fits the store, 64 KiB for SQLite and 16 KiB for etcd.
    inline_bytes: Annotated[int, msgspec.Meta(ge=0, le=16 << 20)] = 0
    #: Folders whose programs may run handlers of the languages executable and shell.
    programs: tuple[WholePath, ...] = ("/bin", "/usr/bin", "/usr/local/bin")
    #: Fuel of one invocation of a WebAssembly module; an instruction uses about one.
    wasm_fuel: Annotated[int, msgspec.Meta(ge=1, le=1 << 62)] = 100_000_000_000
    #: Memory of a WebAssembly module.
    wasm_memory_bytes: Annotated[int, msgspec.Meta(ge=1 << 16, le=4 << 30)] = 256 << 20
    #: Environment variables that author code may see.
    environment: tuple[VariableName, ...] = ("PATH", "LANG", "LC_ALL", "TZ")


class OutboundSettings(Section, frozen=True, kw_only=True):
    """HTTP targets that a node may call, in addition to the URLs in other settings."""

    #: Origins: ``scheme://host[:port]``; ``*`` for any host, ``*.name`` for those below a name.
    allow: tuple[str, ...] = ()
    #: Private networks whose addresses may be called.
    networks: tuple[str, ...] = ()
    #: Certificates (PEM) of trusted authorities, in addition to those of the system.
    ca_file: str = ""


class MailSettings(Section, frozen=True, kw_only=True):
    """The mail server."""

    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 25
    #: Sender of mail; without one nothing is sent.
    sender: str = ""
    #: ``starttls`` and ``tls`` check the server's certificate.
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""


class NotifySettings(Section, frozen=True, kw_only=True):
    """Receivers of notifications: the log, and mail and HTTP if they are set."""

    #: A channel does not send notifications below its level.
    log_level: Level = "info"
    #: Receivers of mail; none: no mail.
    email_to: tuple[MailAddress, ...] = ()
    email_level: Level = "error"
    email_subject: str = "[JobX] $level: $subject"
    #: URL to which notifications are posted; empty: none.
    http_url: str = ""
    http_level: Level = "info"
    #: ``mr``: posts have the fields of a log record of Python, as a form.
    http_format: Literal["jobx", "mr"] = "jobx"
    #: Keys that sign the posts, separated by blanks; empty: no signature.
    http_key: SigningKeys = ""


class ResultSettings(Section, frozen=True, kw_only=True):
    """Destinations of results in addition to the store, and retries."""

    #: Writer of jobs that name none: ``inline``, ``file``, ``email``, ``http``, ``object``, or …
    writer: str = "inline"
    #: … one of these: subclasses of Writer by dotted path, ``package.module:Class``.
    writers: tuple[str, ...] = ()
    #: Tries before a delivery is given up.
    attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    #: Wait before the second try; doubles with each further try, and varies by half.
    backoff_s: PositiveFloat = 1.0
    max_backoff_s: PositiveFloat = 300.0
    #: Time limit of one try to deliver a result.
    time_limit_s: PositiveFloat = 300.0
    #: ``mr``: ``file``, ``http`` and ``email`` write what mr wrote.
    format: Literal["jobx", "mr"] = "jobx"
    #: Folder of the writer ``file``; empty: it cannot be used.
    file_path: str = ""
    #: Write a folder with a file for each key instead of one file.
    file_per_key: bool = False
    #: Receivers of the writer ``email``.
    email_to: tuple[MailAddress, ...] = ()
    email_subject: str = "Result of $workflow/$job"
    email_body: str = "Request $request_id of $workflow/$job has $pairs pairs; they are attached.\n"
    #: Largest result, as JSON, that is mailed.
    email_max_bytes: Bytes = 10 << 20
    #: URL of the writer ``http``.
    http_url: str = ""
    #: Keys that sign its posts, separated by blanks; empty: no signature.
    http_key: SigningKeys = ""
    #: Folder of the writer ``object``, a URL that fsspec opens.
    object_url: str = ""


class PlaceSettings(Section, frozen=True, kw_only=True):
    """Where files are that several machines share; ``handlers/files/opening.py`` opens it."""

    #: ``file:///…``, ``s3://bucket/prefix``, ``sftp://user@host/…``, ``tahoe:`` or ``memory://``.
    #: Empty: there is none.
    url: str = ""
    #: Wait for one answer of a remote store.
    timeout_s: PositiveFloat = 60.0
    #: Further arguments of the back end, such as credentials; as a variable it is JSON.
    options: dict[str, Any] = {}
    #: Of Tahoe-LAFS: the directory, and the gateway's URL.
    tahoe_dir_uri: str = ""
    tahoe_webapi_url_prefix: str = ""

    @property
    def location(self) -> str:
        """The URL; a Tahoe directory alone implies it."""
        return self.url or ("tahoe:" if self.tahoe_dir_uri else "")


class FilesSettings(PlaceSettings, frozen=True, kw_only=True):
    """The shared file system ``FS`` of author code; without a place ``FS`` is None."""

    #: Bytes of all files of one workflow together; 0 means no limit.
    quota_bytes: BytesOrNone = 0
    #: Unfinished files are removed after this.
    temp_age_s: PositiveFloat = 86_400.0


class BlobSettings(PlaceSettings, frozen=True, kw_only=True):
    """The place of large values that all nodes share; without one they are in the data folder."""

    timeout_s: PositiveFloat = 10.0
    #: Copies in the data folder that nobody has used for this long are removed.
    cache_s: PositiveFloat = 3600.0


class ScopeSettings(Section, frozen=True, kw_only=True):
    """Names in the scope of handlers, in addition to JobX's own."""

    #: By workflow: a callable that returns the names, ``package.module:callable``.
    factories: dict[str, DottedPath] = {}
    #: Folders from which these are imported, in addition to installed packages.
    path: tuple[str, ...] = ()
    #: Secrets for factories, by name: where each is, ``env:VARIABLE`` or ``file:/path``.
    secrets: dict[str, SecretSource] = {}


class OtelSettings(Section, frozen=True, kw_only=True):
    """Traces for OpenTelemetry."""

    #: Where a collector takes OTLP over HTTP, such as ``http://localhost:4318/v1/traces``; empty:
    #: no spans are sent. Needs the extra ``otel``.
    endpoint: str = ""


def is_secret(name: str) -> bool:
    """Return whether the value of a setting is secret."""
    return name == "key" or name.endswith(_SECRET)
