"""What author code finds around it in the process, put back when it has changed it.

Looking is cheap, and putting back is rare. What cannot be put back is told: the executor leaves.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the part of ``signal`` that is in C
import decimal
import gc
import locale
import logging
import os
import random
import resource
import shutil
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final

from jobx.handlers.modules import Modules

#: Modules whose names are put back: what handlers use most, of what every executor has loaded.
_WATCHED: Final = (
    "builtins",
    "sys",
    "os",
    "posixpath",
    "time",
    "math",
    "random",
    "json",
    "decimal",
    "datetime",
    "re",
    "io",
    "threading",
    "tempfile",
    "subprocess",
    "logging",
    "warnings",
    "locale",
    "gc",
    "signal",
)
#: Names of ``sys`` that other code of the executor looks after, or Python itself.
_NOT_WATCHED: Final = frozenset({"stdout", "stderr", "last_exc", "last_type", "last_value"})
_SIGNALS: Final = tuple(
    int(number)
    for number in signal.valid_signals()
    if number not in {signal.SIGKILL, signal.SIGSTOP, signal.SIGALRM}
)
_LIMITS: Final = tuple(
    sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
)
_TIMERS: Final = (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_SEED_BYTES: Final = 16
#: Files that guests have in the private folder.
_OWN_FILES: Final = "handler-"


class Surroundings:
    """Looks after the state of a process that author code shares with the code of others.

    Args:
        folder: The private folder, which is the working directory.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._modules = Modules(_WATCHED, _NOT_WATCHED)
        self._environment, self._variables = os.environ, dict(os.environ)
        self._encoded = _encoded(os.environ)
        self._zone = _zone()
        self._handlers = [_signal.getsignal(number) for number in _SIGNALS]
        self._mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        self._limits = [resource.getrlimit(number) for number in _LIMITS]
        # Author code that imports it shows that it may have changed limits: they are many to ask.
        sys.modules.pop("resource", None)
        self._priority = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)
        self._affinity = os.sched_getaffinity(0)
        self._settings = [(take, give, take()) for take, give in _SETTINGS]

    def restore_signals(self) -> None:
        """Put back what interrupts; quick enough for after each work frame."""
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if _signal.getsignal(number) is not handler:
                _signal.signal(number, handler)
        _signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def restore_folder(self) -> None:
        """Put back the working directory, which may have been removed, and new files' mode."""
        os.umask(0o077)
        try:
            os.chdir(self._folder)
        except FileNotFoundError:
            os.makedirs(self._folder)
            os.chdir(self._folder)

    def restore(self, *, is_thorough: bool = False) -> bool:
        """Put back all the rest; False: something of it cannot be.

        Args:
            is_thorough: Look at all modules, also at those whose attributes nobody has set.
        """
        self._modules.restore(is_thorough=is_thorough)
        self._restore_environment()
        for take, give, before in self._settings:
            if take() != before:
                give(before)
        for number in _TIMERS:
            signal.setitimer(number, 0)
        random.seed(os.urandom(_SEED_BYTES))
        if os.sched_getaffinity(0) != self._affinity:
            with suppress(OSError):
                os.sched_setaffinity(0, self._affinity)
        priority = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)
        return self._restore_limits() and priority == self._priority

    def remove_files(self) -> None:
        """Remove what author code left in the private folder."""
        for name in os.listdir(self._folder):
            if not name.startswith(_OWN_FILES):
                path = os.path.join(self._folder, name)
                try:
                    os.unlink(path)
                except OSError:
                    shutil.rmtree(path, ignore_errors=True)

    def _restore_environment(self) -> None:
        if os.environ is not self._environment:
            os.environ = self._environment  # noqa: B003 - the very same
        if _encoded(os.environ) != self._encoded:
            os.environ.clear()
            os.environ.update(self._variables)
        if _zone() != self._zone:
            time.tzset()

    def _restore_limits(self) -> bool:
        if "resource" not in sys.modules:
            return True
        is_whole = True
        for number, before in zip(_LIMITS, self._limits, strict=True):
            if resource.getrlimit(number) != before:
                try:
                    resource.setrlimit(number, before)
                except (ValueError, OSError):  # the hard limit was lowered
                    is_whole = False
        return is_whole


def _encoded(environment: Any) -> dict[bytes, bytes]:
    """Return a copy of variables as they are kept: decoding them takes longer than all else."""
    return dict(environment._data)


def _zone() -> tuple[Any, ...]:
    return time.tzname, time.timezone, time.altzone, time.daylight


def _filters() -> list[Any]:
    return list(warnings.filters)


def _set_filters(before: Collection[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]  # a list, which its type does not say
    warnings.simplefilter("default", append=True)  # tells the module that they have changed
    warnings.filters[:] = before  # type: ignore[index]  # a list, whatever its type says


def _root_log() -> tuple[Any, ...]:
    root = logging.root
    lists = tuple(root.handlers), tuple(root.filters)
    return (*lists, root.level, root.disabled, root.manager.disable)


def _set_root_log(before: tuple[Any, ...]) -> None:
    root = logging.root
    handlers, filters, level, root.disabled, root.manager.disable = before
    root.handlers[:], root.filters[:] = handlers, filters
    root.setLevel(level)


def _decimal_defaults() -> tuple[Any, ...]:
    default = decimal.DefaultContext
    fields = default.prec, default.rounding, default.Emin, default.Emax, default.capitals
    return (*fields, default.clamp, tuple(default.traps.values()))


def _set_decimal_defaults(before: tuple[Any, ...]) -> None:
    default = decimal.DefaultContext
    default.prec, default.rounding, default.Emin, default.Emax, default.capitals = before[:5]
    default.clamp = before[5]
    default.traps.update(zip(list(default.traps), before[6], strict=True))
    default.clear_flags()


def _lists() -> tuple[list[Any], ...]:
    return list(sys.path), list(sys.meta_path), list(sys.path_hooks), list(sys.argv)


def _set_lists(before: tuple[list[Any], ...]) -> None:
    sys.path[:], sys.meta_path[:], sys.path_hooks[:], sys.argv[:] = before


#: What is read, and what sets it.
_SETTINGS: Final[tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...]] = (
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.getswitchinterval, sys.setswitchinterval),
    (sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    (sys.gettrace, sys.settrace),
    (sys.getprofile, sys.setprofile),
    (gc.isenabled, lambda is_enabled: gc.enable() if is_enabled else gc.disable()),
    (gc.get_threshold, lambda threshold: gc.set_threshold(*threshold)),
    (gc.get_debug, gc.set_debug),
    (socket.getdefaulttimeout, socket.setdefaulttimeout),
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    (_filters, _set_filters),
    (_root_log, _set_root_log),
    (_decimal_defaults, _set_decimal_defaults),
    (_lists, _set_lists),
)
