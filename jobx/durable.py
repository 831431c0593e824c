"""Queues and trees in the store, for programs that use JobX as a library; see docs/collections.md.

A facade: these names stay here, whatever moves behind them.
"""

from collections.abc import Mapping
from pathlib import Path

from jobx import config_loading
from jobx.handlers.blobs.opening import shared_blobs
from jobx.kv import opening
from jobx.kv.collections.collections import KvQueue, KvTree
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Store

__all__ = ["KvQueue", "KvTree", "SqliteStore", "open_store"]


def open_store(environ: Mapping[str, str], config: Path | None = None) -> Store:
    """Open the store that a node with the same settings has; close it in the end.

    Args:
        environ: The environment, for ``JOBX_*`` variables; most often ``os.environ``.
        config: A TOML file of settings, or None for the one that ``JOBX_CONFIG`` names, if any.

    Raises:
        ConfigError: A setting is wrong.
        StoreRefused: The store cannot be used as it is.
        StoreUnavailable: It does not answer.
    """
    settings = config_loading.load(config, environ)
    return opening.open_store(settings, shared_blobs(settings.blobs))
