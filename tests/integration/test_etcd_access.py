"""A store on etcd that asks for a user, or for TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from jobx.config import Settings
from jobx.config_sections import StoreSettings
from jobx.errors import StoreRefused, StoreUnavailable
from jobx.kv.opening import survey
from jobx.kv.store import Put, Store
from jobx.views import StoreServerView
from tests.support.certificates import Certificates
from tests.support.etcd import FORGETFUL, Etcd, Member, etcd_servers
from tests.support.etcd_stores import TIMEOUT_S, is_written, opened
from tests.support.waiting import eventually

USER = {"username": "jobx", "password": "word"}


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """A server that asks who one is: ``jobx`` may all, ``guest`` nothing."""
    with etcd_servers(tmp_path_factory.mktemp("users")) as etcd:
        _add_users(etcd)
        yield etcd


def _add_users(etcd: Etcd) -> None:
    for name in ("root", "jobx", "guest"):
        etcd.ctl("user", "add", f"{name}:word")
    etcd.ctl("role", "add", "all")
    etcd.ctl("role", "grant-permission", "all", "readwrite", "", "--prefix")
    etcd.ctl("user", "grant-role", "jobx", "all")
    etcd.ctl("user", "grant-role", "root", "root")
    etcd.ctl("auth", "enable")


def test_a_change_of_users_disturbs_nobody_whose_token_says_when_it_was_made(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"of this test")
    flags = (*FORGETFUL, "--auth-token", f"jwt,priv-key={secret},sign-method=HS256")
    with etcd_servers(tmp_path, flags=flags) as etcd:
        _add_users(etcd)
        with closing(opened(*etcd.servers, **USER)) as store:
            etcd.ctl("--user", "root:word", "user", "add", "more:word")
            store.commit([Put("a", b"1")])
            etcd.ctl("--user", "root:word", "user", "delete", "more")
            entry = store.get("a")
    assert entry is not None and entry.value == b"1"


def test_a_user_with_rights_reads_and_writes_also_when_the_server_started_anew(
    users: Etcd,
) -> None:
    with closing(opened(*users.servers, **USER)) as store:
        store.commit([Put("a", b"1")])
        users.members[0].kill()
        users.start()
        assert eventually(lambda: is_written(store, "a"))


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({}, "store.username"),
        ({"username": "jobx", "password": "wrong"}, "does not know this user or password"),
        ({"username": "nobody", "password": "word"}, "does not know this user or password"),
        ({"username": "guest", "password": "word"}, "grant a role"),
    ],
    ids=str,
)
def test_a_user_who_may_not_is_refused_by_name(
    users: Etcd, user: dict[str, str], reason: str
) -> None:
    with pytest.raises(StoreRefused, match=reason):
        opened(*users.servers, **user)


def test_a_user_is_fine_where_nobody_is_asked(etcd: Etcd) -> None:
    with closing(opened(*etcd.servers, **USER)) as store:
        assert is_written(store, "a")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Member, Certificates]]:
    """A server that speaks TLS, and wants to see a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    made = Certificates(folder)
    cert, key = made.server
    flags = [*FORGETFUL, "--cert-file", cert, "--key-file", key, "--trusted-ca-file", made.ca]
    with etcd_servers(folder, flags=[*flags, "--client-cert-auth"], scheme="https") as etcd:
        yield etcd.members[0], made


def test_a_server_with_tls_is_used_with_its_authority_and_a_certificate(
    secured: tuple[Member, Certificates],
) -> None:
    member, made = secured
    cert, key = made.client

    def is_open() -> bool:
        with suppress(StoreUnavailable), closing(_tls(member, made.ca, cert, key)) as store:
            return is_written(store, "a")
        return False

    assert eventually(is_open, timeout_s=60)


def _tls(member: Member, ca: str, cert: str = "", key: str = "") -> Store:
    names = {"ca_file": ca, "cert_file": cert, "key_file": key}
    return opened(member.server, scheme="etcds", timeout_s=TIMEOUT_S, **names)


def test_a_server_with_tls_shows_its_size_and_quota(secured: tuple[Member, Certificates]) -> None:
    member, made = secured
    cert, key = made.client
    url = f"etcds://{member.server}"
    store = StoreSettings(url=url, ca_file=made.ca, cert_file=cert, key_file=key)

    def shown() -> StoreServerView | None:
        (view,) = survey(Settings(store=store))
        return view if view.error is None else None

    view = eventually(shown)
    assert view is not None
    assert view.is_leader
    assert 0 < (view.size_bytes or 0) < (view.quota_bytes or 0)


def test_another_authority_is_refused_by_name(secured: tuple[Member, Certificates]) -> None:
    member, made = secured
    with pytest.raises(StoreRefused, match=r"TLS fails; see store\.ca_file"):
        _tls(member, made.other, *made.client)


def test_a_certificate_that_is_missing_is_asked_for(secured: tuple[Member, Certificates]) -> None:
    member, made = secured
    with pytest.raises(StoreRefused, match=r"store\.cert_file|TLS fails"):
        _tls(member, made.ca)


def test_a_server_with_tls_is_refused_without(secured: tuple[Member, Certificates]) -> None:
    with pytest.raises(StoreRefused, match="etcds://"):
        opened(secured[0].server, timeout_s=TIMEOUT_S)


def test_a_server_without_tls_is_refused_with(etcd: Etcd, tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    with pytest.raises(StoreRefused, match="TLS"):
        _tls(etcd.members[0], made.ca)
