"""What is still there when a soak has ended: processes, descriptors, memory, files, keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobx.actors import usual_times
from jobx.handlers.authoring.library import Library
from jobx.kv import keys
from jobx.kv.opening import open_store
from tests.chaos.soak.history import Violation
from tests.support.authoring import settings_of
from tests.support.processes import alive, words
from tests.support.served import Served

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
#: What a process may have grown by between two equal rounds of quiet work.
GROWTH_BYTES: Final = 24 << 20
#: Descriptors that may be more: connections that are kept open for a while.
_DESCRIPTORS: Final = 8
#: Names in a data folder that is not served.
_AT_REST: Final = frozenset(
    {
        *("jobx.sqlite", "jobx.sqlite-wal", "store_id", "folder_id", "lock", "blobs", "tmp"),
        usual_times.NAME,
    }
)


@dataclass(frozen=True)
class Use:
    """What a process has."""

    descriptors: int
    rss_bytes: int


def use_of(serving: Served) -> dict[str, Use]:
    """Return what the long-lived processes have, by what they are."""
    found = {"node": serving.node(), "fork server": serving.fork_server()}
    found |= {f"web worker {n}": pid for n, pid in enumerate(serving.web_workers())}
    return {name: _use(pid) for name, pid in found.items()}


def _use(pid: int) -> Use:
    statm = Path(f"/proc/{pid}/statm").read_text().split()
    return Use(len(os.listdir(f"/proc/{pid}/fd")), int(statm[1]) * _PAGE_BYTES)


def grown(before: dict[str, Use], after: dict[str, Use]) -> Iterator[Violation]:
    """Yield what one process has more of after a round of work than after an equal one before."""
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if new.descriptors > old.descriptors + _DESCRIPTORS:
            told = f"{name} had {old.descriptors} descriptors, and then {new.descriptors}"
            yield Violation("left descriptor", told)
        if new.rss_bytes > old.rss_bytes + GROWTH_BYTES:
            told = f"{name} had {old.rss_bytes >> 20} MiB, and then {new.rss_bytes >> 20} MiB"
            yield Violation("left memory", told)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that were started with a folder as TMPDIR, or work
    in one below it."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid() and _belongs(int(entry), folder):
            found.append(f"{entry} {' '.join(words(int(entry)))[:120]}")
    return found


def _belongs(pid: int, folder: Path) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        cwd = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    marked = os.fsencode(f"TMPDIR={folder}/temporary") in environ
    return alive(pid) and (marked or cwd.startswith(f"{folder}/"))


def files_of(data_dir: Path, temporary: Path) -> Iterator[Violation]:
    """Yield what is in the folders of a server that was stopped and should not be."""
    for path in [*(data_dir / "tmp").glob("*"), *temporary.glob("*")]:
        yield Violation("left file", str(path))
    for path in data_dir.iterdir():
        if path.name not in _AT_REST:
            yield Violation("left file", str(path))


def keys_of(data_dir: Path) -> set[str]:
    """Return all keys of a store that nobody serves."""
    with closing(open_store(settings_of(data_dir))) as store:
        return {entry.key for entry in store.range("")}


def current_plan(data_dir: Path, workflow: str) -> str:
    """Return the key of the plan that a workflow's next request would have."""
    with closing(open_store(settings_of(data_dir))) as store:
        library = Library(store)
        library.refresh()
        return keys.plan(workflow, library.plan(workflow)[0])


def blobs_of(root: Path) -> list[str]:
    """Return the folders of requests that have blobs below a place."""
    return [str(path.relative_to(root)) for path in sorted(root.glob("*/*"))]
