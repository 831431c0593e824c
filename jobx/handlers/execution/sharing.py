"""The blobs of a work frame on their way from and to the place that nodes share.

Neither way counts as time of an invocation: the node sees an executor that reads or answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from jobx.frames import Frame
from jobx.handlers.blobs.shared import Folder, SharedBlobs, SharedFolder
from jobx.handlers.execution.protocol import Page
from jobx.payload import Payload
from jobx.segments import Combined, MappedChunk, Reduced, Returned, Segment


def folder_of(shared: SharedBlobs | None, frame: Frame) -> Folder:
    """Return the folder of a work frame for reading."""
    folder: str = frame["blob_dir"]
    return folder if shared is None else shared.folder(folder)


def fetch(folder: Folder, page: Page, frame: Frame) -> None:
    """Fetch what a work frame reads and is not here; raises as ``SharedBlobs.fetch``."""
    for name, size_bytes, checksum in _inputs(frame):
        if isinstance(folder, SharedFolder) and not folder.has(name, size_bytes):
            page.take_up(frame["id"], time.monotonic_ns())
            folder.fetch(name, size_bytes, checksum)


def put(shared: SharedBlobs, page: Page, frame: Frame, segments: Sequence[Segment]) -> None:
    """Put what an answer names into the shared place; raises as ``SharedBlobs.put``."""
    for payload in _outputs(segments):
        if payload.blob is not None:
            page.rest()
            page.take_up(frame["id"], time.monotonic_ns())
            shared.put(frame["blob_dir"], payload.blob, payload.size_bytes, payload.checksum)


def _inputs(frame: Frame) -> Iterator[tuple[str, int, int]]:
    blob = frame.get("blob")
    if blob is not None:
        yield blob["name"], blob["size"], blob["checksum"]
    for payload in map(Payload.from_wire, frame.get("inputs") or ()):
        if payload.blob is not None:
            yield payload.blob, payload.size_bytes, payload.checksum


def _outputs(segments: Sequence[Segment]) -> Iterator[Payload]:
    for segment in segments:
        if isinstance(segment, MappedChunk):
            yield Payload.from_wire(segment.payload)
        elif isinstance(segment, Returned | Combined | Reduced):
            yield from map(Payload.from_wire, segment.payloads)
