"""What each room may import: third-party packages everywhere, and all else in the strict rooms.

The layers of setup.cfg say which room is above which. What they cannot say is here: a room that is
pure, a package that stays behind its adapter, a contract that hides what implements it.
"""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.tables import check_each

ROOT: Final = Path(__file__).parents[2]

#: Third-party packages by room; a room that is not named here has those of the room around it.
PACKAGES: Final[dict[str, set[str]]] = {
    "jobx": set(),
    "jobx.config_loading": {"msgspec"},
    "jobx.config_sections": {"msgspec"},
    "jobx.entity_json": {"msgspec"},
    "jobx.frames": {"msgspec"},
    "jobx.model": {"msgspec"},
    "jobx.payload": {"msgspec"},
    "jobx.questions": {"msgspec"},
    "jobx.segments": {"msgspec"},
    "jobx.setting_types": {"msgspec"},
    "jobx.work": {"msgspec"},
    "jobx.testing": {"msgspec", "uvloop"},
    "jobx.value_rules": {"msgpack"},
    "jobx.values": {"msgpack"},
    "jobx.views": {"msgspec"},
    "jobx.kv": {"msgspec"},
    "jobx.kv.etcd": {"aetcd", "grpc"},
    "jobx.kv.etcd2": {"etcd", "msgspec", "urllib3"},
    "jobx.kv.opening": {"grpc"},
    "jobx.handlers": set(),
    "jobx.handlers.authoring": {"msgspec", "yaml"},
    "jobx.handlers.blobs.opening": {"msgspec"},
    "jobx.handlers.execution": {"msgspec"},
    "jobx.handlers.files": {"msgspec", "fsspec"},
    "jobx.handlers.files.s3": {"fsspec", "s3fs"},
    "jobx.handlers.files.sftp": {"asyncssh", "fsspec", "sshfs"},
    "jobx.handlers.languages.lines": {"msgspec"},
    "jobx.handlers.languages.wasm": {"wasmtime"},
    "jobx.handlers.launch": {"msgspec"},
    "jobx.handlers.pairs": {"msgspec"},
    "jobx.handlers.trial": {"msgspec"},
    "jobx.actors": {"msgspec", "thespian"},
    "jobx.actors.foreground": {"uvloop"},
    "jobx.actors.bridge.nsq": {"nsq", "thespian"},
    "jobx.actors.egress": {"msgspec"},
    "jobx.actors.egress.otlp": {"msgspec", "opentelemetry"},
    "jobx.actors.egress.writers": {"msgspec", "fsspec"},
    "jobx.actors.request": {"msgspec"},
    "jobx.http": {"falcon", "msgspec"},
    "jobx.http.reading.json_bodies": {"jiter", "msgspec"},
    "jobx.http.pages": {"falcon", "jinja2"},
    "jobx.http.gunicorn_conf": {"gunicorn"},
    "jobx.http.writing.exposition": {"prometheus_client"},
    "jobx.http.server_log": {"gunicorn"},
    "jobx.http.web_worker": {"gunicorn"},
    "jobx.tools": {"click", "msgspec", "rich"},
    "jobx.tools.commands.run": {"click", "msgspec", "rich", "uvloop"},
}

#: Modules of the standard library that these rooms may import; all others have the whole of it.
STANDARD: Final[dict[str, set[str]]] = {
    "jobx.actors.coordination": {"array", "collections", "functools", "logging", "typing"},
    "jobx.actors.request": {
        *("bisect", "collections", "dataclasses", "heapq", "itertools", "operator", "typing")
    },
    "jobx.actors.runtime": {
        *("asyncio", "bisect", "collections", "concurrent", "dataclasses", "datetime", "heapq"),
        *("inspect", "itertools", "logging", "math", "operator", "queue", "random", "re", "time"),
        *("traceback", "typing", "zlib"),
    },
    "jobx.handlers.execution": {
        *("_signal", "array", "builtins", "collections", "contextlib", "contextvars"),
        *(
            "dataclasses",
            "decimal",
            "errno",
            "fcntl",
            "gc",
            "hashlib",
            "itertools",
            "struct",
            "io",
            "json",
            "locale",
            "logging",
        ),
        *(
            "math",
            "mmap",
            "operator",
            "os",
            "pathlib",
            "random",
            "resource",
            "select",
            "selectors",
            "shutil",
        ),
        *("signal", "socket", "sys", "tempfile", "threading", "time", "traceback", "types"),
        *("typing", "warnings", "zlib"),
    },
}

#: Rooms of the package that these may import beside themselves; all others go by the layers.
ROOMS: Final[dict[str, set[str]]] = {
    "jobx.actors.request": {"jobx.errors", "jobx.model", "jobx.payload", "jobx.system.backoff"},
    "jobx.actors.runtime": {"jobx.errors", "jobx.system.backoff"},
    "jobx.actors.coordination": {
        *("jobx.actors.executor_failures", "jobx.actors.messages", "jobx.actors.notification"),
        *("jobx.actors.clock", "jobx.actors.ports", "jobx.actors.recovery", "jobx.actors.request"),
        *("jobx.actors.runtime", "jobx.config_sections", "jobx.errors", "jobx.kv.blobs"),
        *(
            "jobx.kv.requests",
            "jobx.kv.store",
            "jobx.meanings",
            "jobx.model",
            "jobx.payload",
            "jobx.segments",
        ),
        *("jobx.values", "jobx.work"),
    },
    "jobx.http": {
        *(
            "jobx.actors.inspection",
            "jobx.amounts",
            "jobx.config",
            "jobx.config_loading",
            "jobx.config_sections",
            "jobx.counting",
            "jobx.errors",
        ),
        *("jobx.frame_writer", "jobx.frames", "jobx.handlers.blobs", "jobx.handlers.pairs"),
        *(
            "jobx.instants",
            "jobx.json_reading",
            "jobx.kv.requests",
            "jobx.kv.blobs",
            "jobx.logs",
            "jobx.meanings",
            "jobx.model",
            "jobx.payload",
        ),
        *("jobx.printable", "jobx.questions", "jobx.system", "jobx.tagged_json", "jobx.values"),
        *("jobx.traceparent", "jobx.views"),
    },
}

#: Lines that must not be there, though an import of them works.
FORBIDDEN: Final = [
    *(
        ("jobx/actors/request/state.py", line)
        for line in (
            "import random",
            "import datetime",
            "import sqlite3",
            "import pathlib",
            "import secrets",
            "import fsspec",
            "from jobx.actors.egress import urls",
            "from jobx import config_loading",
        )
    ),
    ("jobx/actors/runtime/engine.py", "from jobx.actors.egress import urls"),
    ("jobx/actors/runtime/engine.py", "from jobx import config"),
    ("jobx/actors/coordination/supervisor.py", "from jobx.kv.sqlite.store import SqliteStore"),
    (
        "jobx/actors/coordination/coordinator.py",
        "from jobx.actors.executors.pool import ExecutorPool",
    ),
    ("jobx/http/resources/jobs.py", "from jobx.kv.sqlite.store import SqliteStore"),
    ("jobx/http/resources/jobs.py", "from jobx.actors.node import Node"),
    ("jobx/kv/sqlite/store.py", "import rich"),
    ("jobx/kv/sqlite/store.py", "import click"),
    ("jobx/kv/sqlite/store.py", "import uvloop"),
    ("jobx/handlers/execution/work_kinds.py", "import asyncio"),
    ("jobx/frames.py", "import msgpack"),
]


def module_name(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported(source: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, at its top or inside of a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, rooms: set[str]) -> bool:
    """Tell whether a dotted name is one of the rooms, or in one of them."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def narrowest(module: str, table: dict[str, set[str]]) -> str | None:
    """Return the smallest room of a table that a module is in."""
    rooms = [room for room in table if is_within(module, {room})]
    return max(rooms, key=len, default=None)


def refused(module: str, source: str) -> list[str]:
    """Return the imports of a module that its room does not permit."""
    return [name for name in imported(source) if not is_permitted(module, name)]


def is_permitted(module: str, name: str) -> bool:
    """Tell whether a module may import a name."""
    root = name.partition(".")[0]
    if root == "jobx":
        room = narrowest(module, ROOMS)
        return room is None or name == "jobx" or is_within(name, {*ROOMS[room], room})
    if root in sys.stdlib_module_names:
        room = narrowest(module, STANDARD)
        return room is None or root in STANDARD[room]
    return root in PACKAGES[narrowest(module, PACKAGES) or "jobx"]


def test_modules_import_what_their_rooms_permit() -> None:
    def check(path: Path) -> None:
        assert refused(module_name(path), path.read_text(encoding="utf-8")) == []

    check_each(sorted(ROOT.glob("jobx/**/*.py")), check)


@pytest.mark.parametrize(("file", "line"), FORBIDDEN)
def test_forbidden_import_is_refused(file: str, line: str) -> None:
    path = ROOT / file
    source = f"{line}\n{path.read_text(encoding='utf-8')}"
    assert set(imported(line)) <= set(refused(module_name(path), source))


#: What an installation brings, by the name that it is imported by.
INSTALLED: Final = {
    "click": "click",
    "falcon": "falcon",
    "fsspec": "fsspec",
    "gunicorn": "gunicorn",
    "Jinja2": "jinja2",
    "jiter": "jiter",
    "msgpack": "msgpack",
    "msgspec": "msgspec",
    "prometheus_client": "prometheus_client",
    "pynsq": "nsq",
    "python-etcd": "etcd",
    "PyYAML": "yaml",
    "rich": "rich",
    "thespian": "thespian",
    "urllib3": "urllib3",
    "uvloop": "uvloop",
}
#: What a cluster alone needs, with what it brings in its turn.
CLUSTER: Final = {"aetcd", "etcd", "grpc", "nsq", "tornado", "urllib3"}
_EMBEDDED: Final = """
import asyncio, os, sys
import jobx.http.asgi, jobx.tools.cli
from jobx import config_loading
from jobx.actors.node import Node

async def live():
    node = Node(config_loading.load(None, {}, {"node.data_dir": sys.argv[1]}), os.environ)
    await node.start()
    await node.stop(0.0)

asyncio.run(live())
print(*{name.partition(".")[0] for name in sys.modules})
"""


#: What runs a node or a handler; a command that only starts processes loads none of it.
RUNNING: Final = {
    "jobx.actors.bridge.bridge",
    "jobx.actors.cluster.membership",
    "jobx.actors.node",
    "jobx.handlers.trial.single_run",
    "thespian",
}
_STARTING: Final = """
import sys
import jobx.tools.commands.serve, jobx.tools.commands.web
print(*sys.modules)
"""


def test_what_is_installed_is_imported() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    required = {
        re.split("[<>=]", line)[0]
        for line in config["options"]["install_requires"].splitlines()
        if line and not line.startswith("#")
    }
    assert required == set(INSTALLED)
    used = {name for names in PACKAGES.values() for name in names}
    assert set(INSTALLED.values()) <= used


def loaded_by(code: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_a_node_with_a_store_of_its_own_imports_nothing_of_a_cluster(tmp_path: Path) -> None:
    loaded = loaded_by(_EMBEDDED, str(tmp_path))
    assert "thespian" in loaded
    assert loaded & CLUSTER == set()


def test_a_command_that_starts_processes_imports_nothing_of_what_runs_in_them() -> None:
    loaded = loaded_by(_STARTING)
    assert "jobx.tools.serving.children" in loaded
    assert loaded & RUNNING == set()
