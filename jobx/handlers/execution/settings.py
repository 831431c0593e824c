"""The configuration of executors, made from the settings of a node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from jobx.config import Settings
from jobx.handlers.scope.secrets import read_secrets


def executor_config(
    settings: Settings, environ: Mapping[str, str], temp_dir: Path
) -> dict[str, Any]:
    """Return the configuration of executors; its fields are those of ``executor.Config``.

    Args:
        settings: All settings.
        environ: The environment; author code sees the variables that the settings allow.
        temp_dir: Where the private folders of executors are made.

    Raises:
        ConfigError: A secret for scope factories cannot be read.
    """
    executors = settings.executors
    return {
        "memory_bytes": executors.memory_bytes,
        "output_bytes": executors.output_bytes,
        "segments_bytes": settings.segments_bytes,
        "spill_bytes": executors.spill_bytes,
        "recycle_invocations": executors.recycle_invocations,
        "recycle_growth_bytes": executors.recycle_growth_bytes,
        "environment": {name: environ[name] for name in executors.environment if name in environ},
        "temp_dir": str(temp_dir),
        "programs": executors.programs,
        "wasm_fuel": executors.wasm_fuel,
        "wasm_memory_bytes": executors.wasm_memory_bytes,
        "blobs": msgspec.to_builtins(settings.blobs) if settings.blobs.location else None,
        "files": msgspec.to_builtins(settings.files) if settings.files.location else None,
        "factories": settings.scope.factories,
        "factory_path": [str(Path(folder).absolute()) for folder in settings.scope.path],
        "secrets": read_secrets(settings.scope.secrets, environ),
    }
