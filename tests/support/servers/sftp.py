"""An SFTP server on a free port that shows the whole machine, as most do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh

from tests.support.servers.lifeline import say, wait_for_parent

USER, PASSWORD = "author", "not-a-secret"


class _Server(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


async def _serve(folder: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    listener = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=_Server, server_host_keys=[key], sftp_factory=True
    )
    port = listener.get_port()
    known_hosts = folder / "known_hosts"
    public = key.export_public_key("openssh").decode().strip()
    known_hosts.write_text(f"[127.0.0.1]:{port} {public}\n")
    say(port=port, known_hosts=str(known_hosts), username=USER, password=PASSWORD)
    await asyncio.to_thread(wait_for_parent)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
