from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from jobx.errors import NodeUnreachable
from jobx.system import peers
from jobx.system.peers import Peer, check_node, is_ours, peer_of


def test_other_end_of_a_socket_is_known() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert peer_of(left) == Peer(os.getpid(), os.getuid(), os.getgid())


@pytest.mark.parametrize(("uid", "ours"), [(0, True), (7, True), (8, False)])
def test_own_user_and_root_are_ours(uid: int, ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.os, "geteuid", lambda: 7)
    assert is_ours(Peer(1, uid, 1)) is ours


def test_node_of_another_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "peer_of", lambda _: Peer(11, 54321, 1))
    with pytest.raises(NodeUnreachable, match="process 11 of user 54321 listens there"):
        check_node(None, tmp_path / "gateway.sock")


def test_root_may_ask_the_node_of_whom_the_folder_belongs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers.os, "geteuid", lambda: 0)
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(peers, "peer_of", lambda _: Peer(11, owner, 1))
    check_node(None, tmp_path / "gateway.sock")
