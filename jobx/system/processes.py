"""How much memory this process has, and how much it may have."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def limit_bytes() -> int:
    """Return how much this process may have: of the machine, its cgroups, its address space."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_cgroup_limits()]
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits)


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of the cgroups that this process is in, and of those above them."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            yield from _limits(_CGROUPS, name, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(_CGROUPS / "memory", name, "memory.limit_in_bytes")


def _limits(root: Path, name: str, file: str) -> Iterator[int]:
    folder = root / name.strip("/")
    for place in (folder, *folder.parents):
        if not place.is_relative_to(root):
            return
        try:
            text = (place / file).read_text(encoding="ascii").strip()
        except OSError:
            continue  # in a container its own group is the root
        if text.isdecimal():  # else "max"
            yield int(text)
