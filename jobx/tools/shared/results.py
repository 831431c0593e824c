"""Writes the results of requests, and makes errors of those that have none."""

from __future__ import annotations

from typing import Final

import click

from jobx import model
from jobx.errors import RequestCancelled, RequestFailed
from jobx.handlers.blobs.opening import shared_blobs
from jobx.handlers.pairs import run_merger
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload
from jobx.tools.shared import render
from jobx.tools.shared.command import Call
from jobx.views import ResultView

#: The reason of a request that is cancelled on the command line.
REASON: Final = "on the command line"
#: How results are written.
FORMATS: Final = click.Choice(("json", "ndjson", "table"))


def say_result(call: Call, result: ResultView, form: str) -> None:
    """Write the pairs of a result to stdout, from the store or from blobs."""
    payloads = list(map(Payload.from_wire, result.payloads))
    folder = blob_folder(call).readable(result.blob_dir)
    render.say_pairs(run_merger.pairs(payloads, folder), form, result.request_id)


def failed(request_id: str, state: str, failure: model.Failure | None) -> RequestFailed:
    """Return the error of a request that ended without a result."""
    if failure is None:
        return RequestFailed(request_id, state, "it has no result")
    if state == "cancelled":
        return RequestCancelled(request_id, failure.message)
    return RequestFailed(request_id, failure.type, render.cause(failure))


def blob_folder(call: Call) -> BlobFolder:
    """Return the blobs that the settings of a call name."""
    return BlobFolder(call.settings.blob_path, shared_blobs(call.settings.blobs))
