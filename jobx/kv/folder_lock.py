"""The lock of a data folder, which one process owns for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from jobx.errors import InUse
from jobx.system.disk import close_to_others, own_folder, translate

#: A reader holds the lock for an instant, which must not refuse an owner.
_TRY_FOR_S: Final = 0.25
_TRY_EACH_S: Final = 0.01


class FolderLock:
    """The lock of a data folder: an ``flock`` on its file ``lock``.

    The operating system releases it when its process dies, however it dies. The file has the
    owner's process id and role, and is never removed.

    Args:
        folder: The data folder; it is created when it is locked.
        role: The role of the owner, for messages to others.
    """

    def __init__(self, folder: Path, role: str = "node") -> None:
        self._folder = folder
        self._role = role
        self._descriptor: int | None = None

    @property
    def path(self) -> Path:
        """The lock's file."""
        return self._folder / "lock"

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            InUse: Another process (or another lock of this one) holds it.
            StoreRefused: The folder cannot be created or written.
            StoreFull: No room left.
        """
        own_folder(self._folder)
        close_to_others(self.path)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise translate(error, self.path) from error
        try:
            self._take(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> tuple[int, str] | None:
        """Return the process id and the role of the owner, or None.

        An owner that has just started and not written its name yet is ``(0, "starting")``.

        Raises:
            StoreRefused: The file cannot be read.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise translate(error, self.path) from error
        try:
            return None if _lock(descriptor, fcntl.LOCK_SH) else _owner(descriptor)
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        deadline = time.monotonic() + _TRY_FOR_S
        while not _lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                pid, role = _owner(descriptor)
                raise InUse("data folder", str(self._folder), f"process {pid} ({role})")
            time.sleep(_TRY_EACH_S)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {self._role}\n".encode(), 0)
        except OSError as error:
            raise translate(error, self.path) from error


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> tuple[int, str]:
    pid, _, role = os.pread(descriptor, 256, 0).decode(errors="replace").strip().partition(" ")
    return (int(pid), role) if pid.isdigit() else (0, "starting")
