"""How much memory this process has."""

from __future__ import annotations

import os
from pathlib import Path


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
