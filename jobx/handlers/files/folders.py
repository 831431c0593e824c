"""What takes several calls of a back end."""

from __future__ import annotations

from jobx.handlers.files.backend import BackEnd, Stat
from jobx.handlers.files.paths import Parts


def find(back_end: BackEnd, place: Parts) -> Stat | None:
    """Return what is known of a file or folder; None when there is none."""
    try:
        return back_end.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None


def ensure(back_end: BackEnd, place: Parts) -> None:
    """Make a folder in one that exists, unless it is there; raises FileExistsError for a file."""
    try:
        back_end.mkdir(place)
    except FileExistsError:
        if not back_end.stat(place).is_folder:
            raise


def empty(back_end: BackEnd, place: Parts) -> None:
    """Remove all that is in a folder."""
    for stat in back_end.list(place):
        below = (*place, stat.name)
        if stat.is_folder:
            empty(back_end, below)
            back_end.rmdir(below)
        else:
            back_end.remove(below)


def use_bytes(back_end: BackEnd, place: Parts) -> int:
    """Return what the files in a folder and below it take."""
    sizes = (
        use_bytes(back_end, (*place, stat.name)) if stat.is_folder else stat.size
        for stat in back_end.list(place)
    )
    return sum(sizes)
