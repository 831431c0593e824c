"""``jobx serve`` whose node has an actor die once at a message of a kind.

Run as ``python -m tests.support.dying_node MODULE KIND FILE serve …``: the first actor of
``jobx.actors.coordination.MODULE`` that gets a KIND makes FILE and dies; ``birth`` is a kind, too.
"""

from __future__ import annotations

import functools
import importlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from jobx.config import Settings
from jobx.tools.cli import main
from jobx.tools.commands import serve
from jobx.tools.serving.children import Child
from jobx.tools.serving.programs import environ_of

#: The actors of the modules, to have them die at birth.
ACTORS: Final = {"coordinator": "Coordinator", "batch": "Batch"}


def _arm(module_name: str, kind_name: str, file: Path) -> None:
    module = importlib.import_module(f"jobx.actors.coordination.{module_name}")
    if kind_name == "birth":
        actor = getattr(module, ACTORS[module_name])
        actor.__init__ = _dying_once(actor.__init__, file)
        return
    (kind,) = [one for one in module._RECEIVE if one.__name__ == kind_name]
    module._RECEIVE[kind] = _dying_once(module._RECEIVE[kind], file)


def _dying_once(real: Callable[..., None], file: Path) -> Callable[..., None]:
    @functools.wraps(real)
    def dying(*arguments: Any) -> None:
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            real(*arguments)
        else:
            raise ArithmeticError("a fault of ours")

    return dying


def _node_child(settings: Settings, heartbeat_fd: int) -> Child:
    words = [sys.executable, "-m", __spec__.name, *sys.argv[1:4]]
    words += ["node", "--heartbeat-fd", str(heartbeat_fd)]
    return Child("node", words, environ_of(settings), signal.SIGKILL, (heartbeat_fd,))


if __name__ == "__main__":
    module_name, kind_name, path, command, *rest = sys.argv[1:]
    if command == "node":
        _arm(module_name, kind_name, Path(path))
    else:
        serve.node_child = _node_child
    main([command, *rest])
