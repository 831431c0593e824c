"""The settings of a process, and what follows from them.

``jobx.config_sections`` has each setting, ``jobx.config_loading`` reads them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobx.config_sections import (
    BlobSettings,
    BridgeSettings,
    ClusterSettings,
    ExecutorSettings,
    FilesSettings,
    HttpSettings,
    MailSettings,
    NodeSettings,
    NotifySettings,
    OtelSettings,
    OutboundSettings,
    RequestSettings,
    ResultSettings,
    RetentionSettings,
    ScopeSettings,
    Section,
    StoreSettings,
    is_secret,
)

ENV_PREFIX: Final = "JOBX_"
#: Variables with the prefix that are no settings: the file of settings, variables of builds and
#: tests, and those of shell handlers, which may call commands of JobX.
OTHER_VARIABLES: Final = frozenset(
    ENV_PREFIX + name
    for name in (
        *("CONFIG", "COMPILE", "REQUIRE_SERVICES"),
        *("CHAOS_REQUESTS", "CHAOS_S", "CHAOS_SEED"),
        *("CALL", "REQUEST", "WORKFLOW", "JOB", "STEP", "VERTEX", "ATTEMPT"),
    )
)
#: Longest name of a Unix socket; with its closing zero byte it is 108.
MAX_SOCKET_PATH_BYTES: Final = 107


class Settings(Section, frozen=True, kw_only=True):
    """All settings of a process."""

    node: NodeSettings = NodeSettings()
    store: StoreSettings = StoreSettings()
    cluster: ClusterSettings = ClusterSettings()
    bridge: BridgeSettings = BridgeSettings()
    http: HttpSettings = HttpSettings()
    requests: RequestSettings = RequestSettings()
    retention: RetentionSettings = RetentionSettings()
    executors: ExecutorSettings = ExecutorSettings()
    outbound: OutboundSettings = OutboundSettings()
    mail: MailSettings = MailSettings()
    notify: NotifySettings = NotifySettings()
    results: ResultSettings = ResultSettings()
    files: FilesSettings = FilesSettings()
    blobs: BlobSettings = BlobSettings()
    scope: ScopeSettings = ScopeSettings()
    otel: OtelSettings = OtelSettings()

    @property
    def data_dir(self) -> Path:
        """The data folder as an absolute path."""
        return Path(os.path.expanduser(self.node.data_dir)).absolute()  # raises nothing

    @property
    def store_path(self) -> Path:
        """The file of the embedded store, which is there unless ``store.url`` says otherwise."""
        return self.data_dir / "jobx.sqlite"

    @property
    def blob_path(self) -> Path:
        """The folder of the large values of requests, or of copies of those in ``blobs.url``."""
        return self.data_dir / "blobs"

    @property
    def gateway_path(self) -> Path:
        """The socket of the node's gateway.

        It is in the data folder, unless the path is too long for the name of a socket. Then it is
        in a folder of this user in the folder for temporary files.
        """
        path = self.data_dir / "gateway.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:20]
        return Path(tempfile.gettempdir()) / f"jobx-{os.getuid()}" / f"{digest}.sock"

    @property
    def inline_bytes(self) -> int:
        """Largest value that travels inside a frame and an event."""
        return self.executors.inline_bytes or ((16 if self.store.url else 64) << 10)

    @property
    def segments_bytes(self) -> int:
        """What one answer of an executor, and so an event, may hold before a batch ends early.

        On etcd an event is in one transaction.
        """
        return (256 << 10) if self.store.url else (8 << 20)

    @property
    def executor_count(self) -> int:
        """Executor processes to start."""
        return 0 if self.node.front_end else self.node.executors or (os.cpu_count() or 1)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Capabilities that this node offers."""
        return () if self.node.front_end else self.node.capabilities


def without_secrets(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings of shared places, and without any secret."""
    prefixes = (f"{ENV_PREFIX}FILES_", f"{ENV_PREFIX}BLOBS_")
    named = {source.removeprefix("env:") for source in settings.scope.secrets.values()}
    return {
        name: text
        for name, text in environ.items()
        if not name.startswith(prefixes) and not is_secret(name.lower()) and name not in named
    }
