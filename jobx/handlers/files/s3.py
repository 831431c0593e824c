"""Object stores that speak S3.

They have no folders. A folder that is created here is an empty object whose key ends with a slash,
as in other tools. Keys below a prefix make a folder too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, BinaryIO, Final

from s3fs import S3FileSystem

from jobx.handlers.files.backend import BLOBS, WORKING
from jobx.handlers.files.paths import Parts, refused
from jobx.handlers.files.remote import Remote, translated

#: s3fs takes the text after it for a version of the object.
_VERSION: Final = "?versionId="


class S3(Remote):
    """A back end on a bucket.

    Args:
        bucket: Its name.
        prefix: Prefix of all keys, without slashes at its ends.
        timeout_s: How long to wait for the store.
        options: Further arguments of ``s3fs.S3FileSystem``.
    """

    def __init__(self, bucket: str, prefix: str, timeout_s: float, options: dict[str, Any]) -> None:
        timeouts = {"connect_timeout": timeout_s, "read_timeout": timeout_s}
        config = timeouts | options.get("config_kwargs", {})
        fs = S3FileSystem(
            **options | {"config_kwargs": config},
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        super().__init__(fs, f"{bucket}/{prefix}" if prefix else bucket)
        self._bucket = bucket

    def at(self, path: Parts) -> str:
        """Return bucket and key."""
        if any(_VERSION in name for name in path):
            raise refused(f"{_VERSION!r} has a meaning in this store")
        return super().at(path)

    def make_folder(self, path: Parts) -> None:
        """Create the object that represents a folder."""
        self.fs.call_s3("put_object", Bucket=self._bucket, Key=self._marker(path), Body=b"")

    def remove_folder(self, path: Parts) -> None:
        """Remove the object that represents a folder."""
        self.fs.call_s3("delete_object", Bucket=self._bucket, Key=self._marker(path))

    def clean(self, before_at: float) -> int:
        """Abort multipart uploads that started before then; return their number."""
        removed = 0
        with translated():
            for upload in self.fs.list_multipart_uploads(self._bucket):
                if upload["Initiated"].timestamp() < before_at and self._is_ours(upload["Key"]):
                    with suppress(FileNotFoundError):
                        self.fs.call_s3(
                            "abort_multipart_upload",
                            Bucket=self._bucket,
                            Key=upload["Key"],
                            UploadId=upload["UploadId"],
                        )
                        removed += 1
        return removed

    def _is_ours(self, key: str) -> bool:
        ours = tuple(f"{self._root}/{folder}/" for folder in (WORKING, BLOBS))
        return f"{self._bucket}/{key}".startswith(ours)

    def _marker(self, path: Parts) -> str:
        return self.at(path).removeprefix(f"{self._bucket}/") + "/"


class FlatS3(S3):
    """A bucket for one program that knows what it writes: no folder is checked, few are there.

    So most calls are one call of the store, where FS makes up to ten.
    """

    def mkdir(self, path: Parts) -> None:
        """Create a folder at the top; others are there when something is in them."""
        if len(path) == 1:
            super().mkdir(path)

    def rmdir(self, path: Parts) -> None:
        """Do nothing: an empty folder is none."""

    def remove(self, path: Parts) -> None:
        """Remove a file; a missing one is fine."""
        with translated():
            self.fs.rm_file(self.at(path))

    def read(self, path: Parts) -> BinaryIO:
        """Open a file."""
        with translated():
            file: BinaryIO = self.fs.open(self.at(path), "rb")
        return file

    def check_folder(self, path: Parts) -> None:
        """Check nothing."""

    def check_target(self, path: Parts) -> None:
        """Check nothing."""
