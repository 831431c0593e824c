"""Authorities and certificates for servers that speak TLS."""

from __future__ import annotations

from pathlib import Path

import trustme


class Certificates:
    """Authorities and certificates, as files."""

    def __init__(self, folder: Path) -> None:
        authority, other = trustme.CA(), trustme.CA()
        self.ca, self.other = self._file(folder / "ca.pem"), self._file(folder / "other.pem")
        authority.cert_pem.write_to_path(self.ca)
        other.cert_pem.write_to_path(self.other)
        self.server = self._pair(authority, folder, "127.0.0.1")
        self.client = self._pair(authority, folder, "jobx.example")

    def _file(self, path: Path) -> str:
        return str(path)

    def _pair(self, authority: trustme.CA, folder: Path, name: str) -> tuple[str, str]:
        made = authority.issue_cert(name)
        key, cert = folder / f"{name}.key", folder / f"{name}.pem"
        made.private_key_pem.write_to_path(str(key))
        made.cert_chain_pems[0].write_to_path(str(cert))
        return str(cert), str(key)
