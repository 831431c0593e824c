"""The process state around author code, restored after author code has changed it.

Checks are cheap and restoring is rare. If something cannot be restored, the executor leaves.
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
import tempfile
import time
import warnings
from collections.abc import Callable, Collection
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

from jobx.handlers.modules import Modules

#: Modules whose names are restored: those most used by handlers among those always loaded.
_WATCHED: Final = (
    *("builtins", "sys", "os", "posixpath", "time", "math", "random", "json", "decimal"),
    *("datetime", "re", "io", "threading", "tempfile", "subprocess"),
    *("logging", "warnings", "locale", "gc", "signal"),
)
#: Names of ``sys`` that other code of the executor, or Python itself, restores.
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
#: Modification time of the private folder while it contains nothing that must be removed.
_UNCHANGED_NS: Final = 0
_DECIMAL_RULES: Final = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps")
_decimal_rules: Final = attrgetter(*_DECIMAL_RULES)
#: Files that guests have in the private folder.
_OWN_FILES: Final = "handler-"


class Surroundings:
    """Restores the process state that author code shares with other requests' code.

    It is made before the executor is forked: to read what is the same in all of them would copy
    many shared pages. ``enter`` reads the rest.
    """

    def __init__(self) -> None:
        self._is_seeded = False
        self._notice_seeds()
        self._modules = Modules(_WATCHED, _NOT_WATCHED)
        self._decimal = decimal.DefaultContext.copy()

    def enter(self, folder: str) -> None:
        """Read the state to restore; ``folder`` is the private one, and the working directory."""
        self._folder = folder
        self._is_seeded = False
        self._environment, self._variables = os.environ, dict(os.environ)
        self._encoded = dict(_encoded(os.environ))
        self._zone = _zone()
        self._handlers = list(map(_signal.getsignal, _SIGNALS))
        self._mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        self._limits = [resource.getrlimit(number) for number in _LIMITS]
        # Only author code that imports it may have changed limits; reading all of them is slow.
        sys.modules.pop("resource", None)
        self._priority = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)
        self._affinity = os.sched_getaffinity(0)
        self._settings = [(take, give, take()) for take, give in _SETTINGS]
        self._lists = [[*listed] for listed in _lists()]

    def _notice_seeds(self) -> None:
        """Note when ``random`` gets a state: comparing states takes far longer."""

        def noticed(function: Callable[..., None]) -> Callable[..., None]:
            def noticing(*given: Any, **named: Any) -> None:
                self._is_seeded = True
                function(*given, **named)

            return noticing

        random.seed, random.setstate = noticed(random.seed), noticed(random.setstate)

    def watch_load(self) -> Callable[[], None]:
        """Call what is returned when a handler was loaded: the settings that this changed stay.

        The top level of a module runs once, and is meant for all that follows, as in a program.
        """
        settings = [take() for take, _, _ in self._settings]
        lists = [[*listed] for listed in _lists()]
        variables = dict(os.environ)

        def loaded() -> None:
            self._settings = [
                (take, give, _changed(before, was, take()))
                for (take, give, before), was in zip(self._settings, settings, strict=True)
            ]
            self._lists = [
                [*_changed(before, were, listed)]
                for before, were, listed in zip(self._lists, lists, _lists(), strict=True)
            ]
            changed = dict(os.environ.items() - variables.items())
            if changed or variables.keys() - os.environ.keys():
                kept = self._variables.keys() - (variables.keys() - os.environ.keys())
                self._variables = {name: self._variables[name] for name in kept} | changed
                self._encoded = {
                    os.fsencode(name): os.fsencode(text) for name, text in self._variables.items()
                }

        return loaded

    def restore_signals(self) -> None:
        """Restore signal handling; quick enough to run after each work frame."""
        if list(map(_signal.getsignal, _SIGNALS)) != self._handlers:
            for number, handler in zip(_SIGNALS, self._handlers, strict=True):
                if _signal.getsignal(number) is not handler:
                    _signal.signal(number, handler)
        _signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def restore_folder(self) -> None:
        """Restore the working directory, which may have been removed, and the umask."""
        os.umask(0o077)
        try:
            if os.getcwd() != self._folder:
                os.chdir(self._folder)
        except FileNotFoundError:
            os.makedirs(self._folder, exist_ok=True)
            os.chdir(self._folder)

    def restore(self, *, is_thorough: bool = False) -> bool:
        """Restore all other state; return False if some of it cannot be restored.

        Args:
            is_thorough: Check all modules, even those whose attributes were not set.
        """
        self._modules.restore(is_thorough=is_thorough)
        self._restore_environment()
        for take, give, before in self._settings:
            if take() != before:
                give(before)
        if _lists() != self._lists:
            for listed, were in zip(_lists(), self._lists, strict=True):
                listed[:] = were
        if _decimal_rules(decimal.DefaultContext) != _decimal_rules(self._decimal):
            self._restore_decimal()
        for number in _TIMERS:
            _signal.setitimer(number, 0)
        if self._is_seeded:
            random.seed(os.urandom(_SEED_BYTES))
            self._is_seeded = False
        if os.sched_getaffinity(0) != self._affinity:
            with suppress(OSError):
                os.sched_setaffinity(0, self._affinity)
        priority = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)
        return self._restore_limits() and priority == self._priority

    def remove_files(self) -> None:
        """Remove the files of author code from the private folder."""
        if os.stat(self._folder).st_mtime_ns == _UNCHANGED_NS:  # quicker than listing it
            return
        for name in os.listdir(self._folder):
            if not name.startswith(_OWN_FILES):
                path = os.path.join(self._folder, name)
                try:
                    os.unlink(path)
                except OSError:
                    shutil.rmtree(path, ignore_errors=True)
        os.utime(self._folder, ns=(_UNCHANGED_NS, _UNCHANGED_NS))

    def _restore_environment(self) -> None:
        if os.environ is not self._environment:
            os.environ = self._environment  # noqa: B003 - the very same
        if _encoded(os.environ) != self._encoded:
            os.environ.clear()
            os.environ.update(self._variables)
        if _zone() != self._zone:
            time.tzset()

    def _restore_decimal(self) -> None:
        default = decimal.DefaultContext
        for name in _DECIMAL_RULES:
            setattr(default, name, getattr(self._decimal, name))
        default.clear_flags()

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


def _changed(before: Any, was: Any, now: Any) -> Any:
    """Return ``before`` with what changed from ``was`` to ``now``.

    ``was`` is another thing than ``before`` if the code of a request has changed it meanwhile.
    """
    if now == was:
        return before
    if before == was or not isinstance(now, list):
        return now
    first = next((number for number, one in enumerate(now) if one in was), len(now))
    kept = [one for one in before if one in now or one not in was]
    return [*now[:first], *kept, *(one for one in now[first:] if one not in was)]


def _encoded(environment: Any) -> dict[bytes, bytes]:
    """Return variables as they are kept: decoding them takes longer than all else."""
    return environment._data  # type: ignore[no-any-return]  # typeshed has no such name


def _zone() -> tuple[Any, ...]:
    return time.tzname, time.timezone, time.altzone, time.daylight


def _filters() -> Any:
    return [*warnings.filters]


def _set_filters(before: Collection[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]  # a list, which its type does not say
    warnings.simplefilter("default", append=True)  # makes the module notice the change
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


def _set_temp_dir(folder: str | None) -> None:
    tempfile.tempdir = folder


def _lists() -> list[list[Any]]:
    return [sys.path, sys.meta_path, sys.path_hooks, sys.argv]


#: The functions that read a value, and those that set it.
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
    (lambda: tempfile.tempdir, _set_temp_dir),
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    (_filters, _set_filters),
    (_root_log, _set_root_log),
)
