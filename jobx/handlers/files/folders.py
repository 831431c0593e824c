"""Operations that need several calls of a back end."""

from __future__ import annotations

from jobx.handlers.files.backend import BackEnd, Stat
from jobx.handlers.files.paths import Parts


def find(back_end: BackEnd, place: Parts) -> Stat | None:
    """Return the metadata of a file or folder, or None if it does not exist."""
    try:
        return back_end.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None


def ensure(back_end: BackEnd, place: Parts) -> None:
    """Create a folder in an existing one, unless it exists; raises FileExistsError for a file."""
    try:
        back_end.mkdir(place)
    except FileExistsError:
        if not back_end.stat(place).is_folder:
            raise


def empty(back_end: BackEnd, place: Parts) -> None:
    """Remove everything in a folder."""
    for stat in back_end.list(place):
        below = (*place, stat.name)
        if stat.is_folder:
            empty(back_end, below)
            back_end.rmdir(below)
        else:
            back_end.remove(below)


def use_bytes(back_end: BackEnd, place: Parts) -> int:
    """Return the size of all files in a folder and below it."""
    sizes = (
        use_bytes(back_end, (*place, stat.name)) if stat.is_folder else stat.size
        for stat in back_end.list(place)
    )
    return sum(sizes)
