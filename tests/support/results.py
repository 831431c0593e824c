"""Results that writers are given in tests."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path
from typing import Any

from jobx import model, values
from jobx.actors.egress.http_client import Outbound
from jobx.actors.egress.writers.base import Names, Result, WriterSite
from jobx.config import Settings
from jobx.payload import Payload

NAMES = Names("texts", "count", "r1")


def run_of(pairs: list[tuple[Any, Any]]) -> bytes:
    """Return pairs in key order as a run."""
    groups = itertools.groupby(pairs, lambda pair: (values.key_identity(pair[0]), pair[0]))
    return b"".join(values.pack([key, [value for _, value in group]]) for (_, key), group in groups)


def result(pairs: list[tuple[Any, Any]], names: Names = NAMES) -> Result:
    """Return a result that is held in memory."""
    run = run_of(pairs)
    delivery_id = f"{names.workflow}/{names.request_id}"
    return Result(
        names, delivery_id, len(pairs), (Payload(len(pairs), len(run), run),), Path("/nowhere")
    )


def blob_result(folder: Path, pairs: list[tuple[Any, Any]]) -> Result:
    """Return a result that is in a blob."""
    run = run_of(pairs)
    (folder / "b").write_bytes(run)
    payload = Payload(len(pairs), len(run), blob="b", checksum=zlib.crc32(run))
    return Result(NAMES, "texts/r1", len(pairs), (payload,), folder)


def finished(destination: model.Destination | None, pairs: list[tuple[Any, Any]]) -> model.Request:
    """Return a request that has succeeded."""
    run = run_of(pairs)
    return model.Request(
        workflow_name=NAMES.workflow,
        request_id=NAMES.request_id,
        job_name=NAMES.job,
        invocation_id="m0",
        state="succeeded",
        is_done=True,
        accepted_at=1.0,
        finished_at=2.0,
        result=(Payload(len(pairs), len(run), run),),
        result_pairs=len(pairs),
        destination=destination,
    )


def site(settings: Settings) -> WriterSite:
    """Return what writers may use."""
    outbound = Outbound(settings.outbound, [settings.results.http_url])
    return WriterSite(settings, outbound, lambda: 1000.0)
