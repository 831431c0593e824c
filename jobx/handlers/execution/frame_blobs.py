"""The blobs of a work frame on their way from and to the place that nodes share.

Neither way counts as time of an invocation: the node sees an executor that reads or answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from jobx.errors import JobxError
from jobx.handlers.blobs.shared import Folder, SharedBlobs, SharedFolder
from jobx.handlers.execution.shared_page import SharedPage
from jobx.payload import Payload, StageData
from jobx.segments import Combined, MappedChunk, Reduced, Returned, Segment
from jobx.work import CombineWork, MapWork, ReduceWork, Work, WorkFrame


def folder_of(shared: SharedBlobs | None, frame: WorkFrame) -> Folder:
    """Return the folder of a work frame for reading."""
    return frame.blob_dir if shared is None else shared.folder(frame.blob_dir)


def fetch(folder: Folder, page: SharedPage, frame: WorkFrame) -> None:
    """Fetch what a work frame reads and is not here; raises as ``SharedBlobs.fetch``."""
    for name, size_bytes, checksum in _inputs(frame.work):
        if isinstance(folder, SharedFolder) and not folder.has(name, size_bytes):
            page.take_up(frame.id, time.monotonic_ns())
            folder.fetch(name, size_bytes, checksum)


def put(
    shared: SharedBlobs, page: SharedPage, frame: WorkFrame, segments: Sequence[Segment]
) -> None:
    """Put what an answer names into the shared place; raises as ``SharedBlobs.put``."""
    for payload in _outputs(segments):
        if payload.blob is not None:
            page.rest()
            page.take_up(frame.id, time.monotonic_ns())
            shared.put(frame.blob_dir, payload.blob, payload.size_bytes, payload.checksum)


def put_data(shared: SharedBlobs, page: SharedPage, frame: WorkFrame, data: StageData) -> StageData:
    """Put what stages yielded into the shared place; return it without a name if that fails."""
    if not data.blob:
        return data
    page.rest()
    page.take_up(frame.id, time.monotonic_ns())
    try:
        shared.put(frame.blob_dir, *data)
    except JobxError:
        return StageData()
    return data


def _inputs(work: Work) -> Iterator[tuple[str, int, int]]:
    if isinstance(work, MapWork) and work.blob is not None:
        yield work.blob.name, work.blob.size_bytes, work.blob.checksum
    if isinstance(work, CombineWork | ReduceWork):
        for payload in map(Payload.from_wire, work.inputs):
            if payload.blob is not None:
                yield payload.blob, payload.size_bytes, payload.checksum


def _outputs(segments: Sequence[Segment]) -> Iterator[Payload]:
    for segment in segments:
        if isinstance(segment, MappedChunk):
            yield Payload.from_wire(segment.payload)
        elif isinstance(segment, Returned | Combined | Reduced):
            yield from map(Payload.from_wire, segment.payloads)
