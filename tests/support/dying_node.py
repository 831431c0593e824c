"""``jobx serve`` whose node has an actor die once at a message of a kind.

Run as ``python -m tests.support.dying_node MODULE KIND FILE serve …``: the first actor of
``jobx.actors.coordination.MODULE`` that gets a KIND makes FILE and dies.
"""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path
from typing import Any

from jobx.config import Settings
from jobx.tools.cli import main
from jobx.tools.commands import serve
from jobx.tools.serving.children import Child
from jobx.tools.serving.programs import environ_of


def _arm(module_name: str, kind_name: str, file: Path) -> None:
    module = importlib.import_module(f"jobx.actors.coordination.{module_name}")
    (kind,) = [one for one in module._RECEIVE if one.__name__ == kind_name]
    real = module._RECEIVE[kind]

    def receive(*arguments: Any) -> None:
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            real(*arguments)
        else:
            raise ArithmeticError("a fault of ours")

    module._RECEIVE[kind] = receive


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
