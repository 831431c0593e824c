"""Every kind of place for blobs, with the folders of two nodes that use it."""

from __future__ import annotations

import uuid
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from jobx.config_sections import BlobSettings
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.blobs.opening import shared_blobs
from jobx.handlers.blobs.shared import SharedBlobs, open_blob
from jobx.handlers.files import folders
from jobx.handlers.files.backend import BLOBS
from jobx.kv.blobs import BlobFolder
from tests.support.file_stores import TAHOE, Stores

#: A node's own folder, and what can be shared.
KINDS: Final = ("own", "file", "s3", "sftp", TAHOE)
SHARED: Final = KINDS[1:]
WORKFLOW: Final = "flow"


@dataclass
class Side:
    """A node's view of the blobs."""

    root: Path
    shared: SharedBlobs | None
    blobs: BlobFolder = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = BlobFolder(self.root, self.shared)

    def path(self, request_id: str, name: str) -> Path:
        """Return where a blob is here, if it is."""
        return self.blobs.path(WORKFLOW, request_id) / name

    def write(self, request_id: str, name: str, body: bytes) -> tuple[str, int, int]:
        """Write a blob as an executor does; return what names it."""
        folder = self.blobs.name(WORKFLOW, request_id)
        with BlobFile(folder, name, sync=True) as blob:
            blob.write(body)
        self.blobs.share(folder, name, len(body), blob.checksum)
        return name, len(body), blob.checksum

    def read(self, request_id: str, blob: tuple[str, int, int]) -> bytes:
        """Read a blob as all readers do."""
        folder = self.blobs.readable(self.blobs.name(WORKFLOW, request_id))
        with open(open_blob(folder, *blob), "rb") as file:
            return file.read()


def sides(stores: Stores, kind: str, folder: Path) -> tuple[Side, Side]:
    """Return two nodes with an empty place of a kind; what is a node's own is the same folder."""
    if kind == "own":
        return Side(folder / "a", None), Side(folder / "a", None)
    settings = settings_of(stores, kind, folder)
    places = [create(settings) for _ in "ab"]
    return Side(folder / "a", places[0]), Side(folder / "b", places[1])


def create(settings: BlobSettings) -> SharedBlobs:
    """Return a place as the first node makes it."""
    shared = shared_blobs(settings)
    assert shared is not None
    shared.call(lambda back_end: folders.ensure(back_end, (BLOBS,)))
    return shared


def settings_of(stores: Stores, kind: str, folder: Path) -> BlobSettings:
    """Return the settings of an empty place of a kind that is shared."""
    if kind == "file":
        place = folder / "place"
        place.mkdir(exist_ok=True)
        return BlobSettings(url=f"file://{place}")
    found = stores.settings(kind)
    fields = {name: getattr(found, name) for name in BlobSettings.__struct_fields__[:5]}
    settings = msgspec.structs.replace(BlobSettings(**fields), timeout_s=60.0)
    if kind == "tahoe":
        return msgspec.structs.replace(settings, tahoe_dir_uri=stores.new_directory())
    name = uuid.uuid4().hex
    if kind == "sftp":
        (stores.root("sftp") / name).mkdir()
    return msgspec.structs.replace(settings, url=f"{settings.url}/{name}")


def named(name: str, body: bytes) -> tuple[str, int, int]:
    """Return what names a blob."""
    return name, len(body), zlib.crc32(body)
