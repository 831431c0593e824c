"""A Python handler as a module of its process: in ``sys.modules``, with a file and a source.

So what looks a module up finds it: dataclasses, type hints, ``pickle``, ``inspect``, ``coverage``,
and child processes that Python starts anew, which import the file.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any, Final

from jobx.handlers.tracebacks import module_name, show_source

#: The folder of the files, in the private folder of an executor. Cleaning up spares it.
_FOLDER: Final = "handler-modules"
#: Names that each module has.
OWN_NAMES: Final = frozenset(
    {
        *("__builtins__", "__cached__", "__doc__", "__file__"),
        *("__loader__", "__name__", "__package__", "__spec__"),
    }
)


def folder_of(private_folder: str) -> str:
    """Return the folder of an executor in which handlers have their files."""
    return os.path.join(private_folder, _FOLDER)


@contextmanager
def module_of(
    handler: Mapping[str, Any],
    tree: ast.Module,
    names: Mapping[str, object],
    private_folder: str,
    *,
    has_file: bool = True,
) -> Iterator[ModuleType]:
    """Yield a new module, in ``sys.modules``; as in an import, it leaves if the block fails.

    Args:
        handler: The fields of ``work.LoadHandler``.
        tree: The syntax tree of its source.
        names: Globals that it begins with.
        private_folder: The executor's folder.
        has_file: Write its file, unless the author's own is known.
    """
    name = _free_name(module_name(handler["name"]), handler["version"])
    source_code = handler["source_code"]
    file = handler.get("file") or os.path.join(folder_of(private_folder), f"{name}.py")
    if has_file and not handler.get("file"):
        _write(file, source_code)
    show_source(file, source_code)
    spec = ModuleSpec(name, SourceFileLoader(name, file), origin=file)
    spec.has_location = True
    spec.loader_state = handler["version"]
    module = module_from_spec(spec)
    own = {**vars(module), "__doc__": ast.get_docstring(tree, clean=False)}
    vars(module).update({**names, **own})
    sys.modules[name] = module
    try:
        yield module
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _free_name(name: str, version: str) -> str:
    """Return a name for a module; another version of the handler may have the usual one."""
    taken = getattr(getattr(sys.modules.get(name), "__spec__", None), "loader_state", version)
    return name if taken == version else f"{name.removesuffix(')')}@{version[:12]})"


def _write(path: str, source_code: str) -> None:
    """Write the file of a module, all of it or, if the disk is full, nothing."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(source_code)
    except OSError:
        with suppress(OSError):
            os.unlink(path)
