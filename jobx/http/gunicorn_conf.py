"""Options of gunicorn for JobX; gunicorn itself runs this file, nothing else imports it.

python -m gunicorn -c python:jobx.http.gunicorn_conf 'jobx.http.asgi:create()'
"""

from __future__ import annotations

import os
import signal
from typing import Any

# Every public name here that gunicorn knows is one of its options, including "config".
from jobx.config_loading import load as _load
from jobx.http.asgi import CUT_STREAMS, CUT_WAITS
from jobx.system.kernel import DIE_WITH_PARENT as _DIE_WITH_PARENT
from jobx.system.kernel import give_back_memory as _give_back_memory
from jobx.system.kernel import prctl as _prctl

_settings = _load(None, os.environ)

bind = _settings.http.bind
workers = _settings.http.workers
# Larger than what is received or sent at once, whose memory is used again and again.
_PART_BYTES = 512 << 10
# One event loop for each web worker: a waiting client costs a connection and no thread.
worker_class = "jobx.http.web_worker.WebWorker"
# A web worker that cannot start its application is a fault.
asgi_lifespan = "on"
# An answer is cancelled so many seconds after its client left. Requests continue regardless.
asgi_disconnect_grace_period = 3
worker_connections = _settings.http.max_connections

# Waits end a little before node.drain_s after SIGTERM; waiting clients get 202 and a location.
# The remaining seconds are for answers in progress; then gunicorn kills the web worker.
graceful_timeout = int(_settings.node.drain_s) + 5
# A web worker whose loop hangs for this long is replaced; a body must not pause longer.
timeout = 60
# An idle connection delays a stopping web worker for at most so many seconds.
keepalive = 5

# The body has its own limit, http.max_body_bytes: gunicorn has none.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190

# gunicorn's default is one socket in the home folder for all instances of a user.
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - heartbeats need a file in memory

# Files of a web server are closed to other users.
umask = 0o077

accesslog = None
errorlog = None
logger_class = "jobx.http.server_log.ServerLog"
loglevel = _settings.node.log_level


def on_starting(server: Any) -> None:
    """Keep an inherited Unix socket for the parent, which needs it for the next gunicorn."""
    server.systemd = True


def post_fork(_server: Any, worker: Any) -> None:
    """Make a web worker end with its server, and set what gunicorn has no option for."""
    _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != worker.ppid:  # the server died before the tie held
        os._exit(1)
    _give_back_memory(_PART_BYTES)
    worker.head_s = _settings.http.head_s
    worker.stall_s = _settings.http.stall_s


def _cut_s(drain_s: float) -> float:
    """Return when waits end, so that the answers arrive within ``drain_s``."""
    return max(drain_s - 1.0, drain_s / 2)


def post_worker_init(worker: Any) -> None:
    """Make SIGTERM end streams at once, and the waits of clients in time for their answers."""

    def cut_waits() -> None:
        worker.state.get(CUT_WAITS, lambda: None)()

    def stop() -> None:
        worker.handle_exit_signal()
        worker.end_silent()
        worker.state.get(CUT_STREAMS, lambda: None)()
        worker.loop.call_later(_cut_s(_settings.node.drain_s), cut_waits)

    worker.loop.add_signal_handler(signal.SIGTERM, stop)
