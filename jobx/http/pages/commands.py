"""What a form would do, as commands: ``curl`` and ``jobx run``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from jobx import values
from jobx.values import Value


def curl(address: str, arguments: Mapping[str, Value]) -> str:
    """Return the command that posts arguments to the address of a job."""
    body = _json({"arguments": {name: values.to_jsonable(one) for name, one in arguments.items()}})
    return (
        f"curl {shlex.quote(address)} \\\n"
        "     -H 'Content-Type: application/json' \\\n"
        f"     -d {shlex.quote(body)}"
    )


def run(workflow: str, job: str, arguments: Mapping[str, Value]) -> str:
    """Return the command that runs a job without HTTP."""
    lines = [f"jobx run {workflow}/{job}"]
    lines += [f"-a {shlex.quote(f'{name}={_text(one)}')}" for name, one in arguments.items()]
    return " \\\n     ".join(lines)


def _text(value: Value) -> str:
    """Return a value as the command line reads it: JSON, or else text."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return _json(values.to_jsonable(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
