"""JobX's processes with nothing in them: web worker, Unix socket, loop, executor, commit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench import measure
from tests.bench.peers import skeleton_app, skeleton_node
from tests.bench.peers.gunicorn_peer import GunicornPeer
from tests.support.waiting import eventually

_STOP_S = 30.0


class SkeletonPeer(GunicornPeer):
    def __init__(self, folder: Path) -> None:
        self._node = subprocess.Popen([sys.executable, "-m", skeleton_node.__name__, str(folder)])
        path = folder / "node"
        eventually(path.exists)
        application = f"{skeleton_app.__name__}:create()"
        super().__init__(folder, application, {skeleton_app.SOCKET: str(path)})

    def close(self) -> None:
        super().close()
        self._node.terminate()
        self._node.wait(timeout=_STOP_S)


if __name__ == "__main__":
    measure.main("skeleton", SkeletonPeer)
