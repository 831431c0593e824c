"""Queues and trees in the store, for programs that use JobX as a library; see docs/collections.md.

A facade: these names stay here, whatever moves behind them.
"""

from jobx.kv.collections.collections import KvQueue, KvTree
from jobx.kv.sqlite.store import SqliteStore

__all__ = ["KvQueue", "KvTree", "SqliteStore"]
