"""The real nginx with the configuration of ``conf/``, its paths and its port those of a test."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jobx.http
from tests.support.ports import free_port
from tests.support.services import absent
from tests.support.waiting import eventually

CONF = Path(__file__).parents[2] / "conf" / "nginx.conf"
#: A part of the site below a prefix, for which nginx buffers as it does by default.
_BUFFERED = """
        location /below/ {
            proxy_buffering on;
            proxy_pass http://jobx/;
        }

"""
STATIC = Path(jobx.http.__file__).parent / "static"


def program() -> str:
    """Return where nginx is; skip the test, or fail it, when it is nowhere."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return found or absent("nginx", "there is no nginx on PATH or in /usr/sbin")


@contextmanager
def nginx(upstream: Path, folder: Path) -> Iterator[int]:
    """Run nginx in front of a Unix socket and give its port.

    Args:
        upstream: The socket.
        folder: Where its files go.
    """
    conf = folder / "nginx.conf"
    port = free_port()
    conf.write_text(_placed(CONF.read_text(), upstream, folder, port))
    command = [program(), "-c", str(conf), "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, process.communicate()[1]
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _placed(text: str, upstream: Path, folder: Path, port: int) -> str:
    user = pwd.getpwuid(os.getuid()).pw_name
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    places = {
        r"user www-data;": f"user {user};" if os.getuid() == 0 else "",
        r"/run/nginx-jobx.pid": str(folder / "pid"),
        r"/var/log/nginx/": f"{folder}/",
        r"listen 80;": f"listen 127.0.0.1:{port};",
        r"unix:/run/jobx/http.sock(?= fail)": f"unix:{upstream}",
        r"/opt/\S*/static/": f"{STATIC}/",
        r"http \{": f"http {{\n{temporary}",
        r"        location / \{": f"{_BUFFERED}        location / {{",
    }
    for pattern, place in places.items():
        text, count = re.subn(pattern, lambda _, place=place: place, text)
        assert count, f"conf/nginx.conf has no {pattern}"
    return text


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
