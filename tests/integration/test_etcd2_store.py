"""The store on etcd's v2 API, on real servers: killed, cut off, without v2, asking who one is."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3

from jobx.actors.commits import commit
from jobx.config import Settings
from jobx.config_sections import StoreSettings
from jobx.errors import OutcomeUnknown, StoreRefused, StoreUnavailable, TooLarge
from jobx.kv import keys
from jobx.kv.opening import open_store
from jobx.kv.store import CommitOutcome, Create, Delete, DeletePrefix, Put, Store
from tests.support.certificates import Certificates
from tests.support.etcd import FORGETFUL, V2, Etcd, Member, etcd_servers
from tests.support.etcd_stores import is_written
from tests.support.proxy import Proxy, proxy
from tests.support.waiting import eventually

FLAGS = (*FORGETFUL, V2)
USER = {"username": "jobx", "password": "word"}


def opened(*servers: str, root: str = "", scheme: str = "etcd2", **fields: str) -> Store:
    """Open a store; ``servers`` are ``host:port``."""
    url = f"{scheme}://{','.join(servers)}/{root}"
    return open_store(Settings(store=StoreSettings(url=url, timeout_s=2.0, **fields)))


def asked(member: Member, path: str, body: Any = None, user: str = "") -> Any:
    """Ask a server itself, or tell it something."""
    headers = urllib3.make_headers(basic_auth=user or None)
    method, said = ("GET", None) if body is None else ("PUT", json.dumps(body))
    url = f"http://{member.server}{path}"
    answer = urllib3.request(method, url, body=said, headers=headers, timeout=30)
    assert answer.status < 300, answer.data
    return json.loads(answer.data) if answer.data else None


@pytest.fixture(autouse=True)
def speaks_v2(etcd: Etcd) -> None:
    """Skip tests whose servers have no v2 API."""
    etcd.url_of("etcd2")


@pytest.fixture
def way(etcd: Etcd) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with proxy(etcd.servers[0]) as made:
        yield made


@pytest.fixture
def store(way: Proxy, tmp_path: Path) -> Iterator[Store]:
    """A store behind the proxy."""
    with closing(opened(way.server, root=tmp_path.name)) as store:
        yield store


def test_entities_are_found_under_their_usual_names(etcd: Etcd, tmp_path: Path) -> None:
    with closing(opened(*etcd.servers, root=tmp_path.name)) as store:
        store.commit([Create(keys.entity("job", "w", "j"), b'{"name":"j"}')])
    found = asked(etcd.members[0], f"/v2/keys/{tmp_path.name}/entities/job/w/j")
    assert found["node"]["value"] == '{"name":"j"}'


def test_what_is_removed_leaves_no_folders(etcd: Etcd, tmp_path: Path) -> None:
    root = f"leaves-{tmp_path.name}"
    with closing(opened(*etcd.servers, root=root)) as store:
        log = [Put(keys.event("w", "r", number), b"") for number in range(3)]
        kept = keys.kept("w", "plan", 1.0, "r")
        store.commit([*log, Put(kept, b"")])
        store.commit([DeletePrefix(keys.log("w", "r")), Delete(kept)])
    for folder in ("requests", "kept"):
        assert "nodes" not in asked(etcd.members[0], f"/v2/keys/{root}/{folder}")["node"]


def test_a_commit_whose_answer_is_lost_may_have_been_done(store: Store, way: Proxy) -> None:
    way.cuts_after = b"value=mine"
    with pytest.raises(OutcomeUnknown, match="lost"):
        store.commit([Create("lost/key", b"mine")])
    entry = eventually(lambda: store.get("lost/key"))
    assert entry.value == b"mine"


@pytest.mark.parametrize("text", [b"guard%22", b"redo%22", b"value=entity"])
def test_what_was_written_without_an_answer_is_known_for_one_s_own(
    text: bytes, store: Store, way: Proxy
) -> None:
    entity, marker = keys.entity("request", "w", "r"), keys.opened("n", "w", "r")
    event = keys.event("w", "r", 0)
    chain = [[Create(entity, b"entity"), Put(marker, b"marker"), Create(event, b"event")]]
    way.cuts_after = text
    (first,) = commit(store, [chain])
    assert first.error is not None
    assert way.cuts_after is None
    assert eventually(lambda: commit(store, [chain]) == [CommitOutcome(1)])
    found = {one.key: one.value for one in store.range("")}
    assert found == {entity: b"entity", marker: b"marker", event: b"event"}


def test_a_server_that_is_deaf_is_not_waited_for_beyond_the_deadline(
    store: Store, way: Proxy
) -> None:
    assert store.get("a") is None
    way.is_deaf = True
    with pytest.raises(StoreUnavailable):
        store.get("a")
    with pytest.raises((OutcomeUnknown, StoreUnavailable)):  # sent, or not any more
        store.commit([Create("a", b"")])


def test_a_commit_of_many_is_given_up_together_when_a_server_is_deaf(
    store: Store, way: Proxy
) -> None:
    assert store.get("a") is None
    way.is_deaf = True
    found = store.commit_many([[[Create(f"many/{number}", b"")]] for number in range(100)])
    errors = [type(one.error) for one in found]
    assert set(errors) <= {OutcomeUnknown, StoreUnavailable}
    assert errors.count(OutcomeUnknown) <= 8


def test_a_commit_ends_when_the_store_is_closed(store: Store, way: Proxy) -> None:
    assert store.get("a") is None
    way.is_deaf = True
    with ThreadPoolExecutor(1) as pool:
        chains = [[[Create(f"many/{number}", b"")]] for number in range(100)]
        waiting = pool.submit(store.commit_many, chains)
        eventually(lambda: way.count(b"many/") > 0 or waiting.done())
        store.close()
        with suppress(StoreRefused):
            assert all(one.error for one in waiting.result(60))


def test_a_read_is_answered_by_another_server_when_one_is_deaf(etcd: Etcd, way: Proxy) -> None:
    with closing(opened(way.server, *etcd.servers)) as store:
        way.is_deaf = True
        assert store.get("a") is None
        assert is_written(store, "other")


def test_a_connection_that_is_cut_costs_a_read_nothing(store: Store, way: Proxy) -> None:
    for _ in range(3):
        assert store.get("a") is None
        way.cut()


def test_a_waiting_reader_hears_of_a_change_after_its_watch_was_cut(
    store: Store, way: Proxy, etcd: Etcd, tmp_path: Path
) -> None:
    with (
        ThreadPoolExecutor(1) as pool,
        closing(opened(*etcd.servers, root=tmp_path.name)) as other,
    ):
        waiting = pool.submit(store.wait, "watched", 0, 600.0)
        other.commit([Put("else", b"")])
        way.cut()
        other.commit([Put("watched", b"1")])
        entry = waiting.result(60)
    assert entry is not None and entry.value == b"1"


def test_a_waiting_reader_hears_of_a_change_that_the_server_has_forgotten(
    store: Store, etcd: Etcd, tmp_path: Path
) -> None:
    """v2 remembers a thousand changes of all keys."""
    with (
        ThreadPoolExecutor(1) as pool,
        closing(opened(*etcd.servers, root=tmp_path.name)) as other,
    ):
        waiting = pool.submit(store.wait, "watched", 0, 600.0)
        other.commit_many([[[Put(f"else/{number}", b"")]] for number in range(1100)])
        other.commit([Put("watched", b"1")])
        entry = waiting.result(60)
    assert entry is not None and entry.value == b"1"


def test_a_server_that_starts_anew_is_found_again_at_once(tmp_path: Path) -> None:
    with etcd_servers(tmp_path, flags=FLAGS) as etcd, closing(opened(*etcd.servers)) as store:
        (member,) = etcd.members
        store.commit([Put("a", b"1")])
        member.kill()
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            store.commit([Put("a", b"2")])
        etcd.start()
        assert eventually(lambda: is_written(store, "b"))
        entry = store.get("a")
        assert entry is not None and entry.value == b"1"


def test_one_member_of_three_may_die_or_stand_still(tmp_path: Path) -> None:
    with etcd_servers(tmp_path, 3, FLAGS) as etcd, closing(opened(*etcd.servers)) as store:
        for member in etcd.members:
            member.signal(signal.SIGSTOP)
            assert eventually(lambda: is_written(store, "a"), timeout_s=60)
            member.signal(signal.SIGCONT)
            eventually(member.is_healthy, timeout_s=60)
        for member in etcd.members:
            member.kill()
            assert eventually(lambda: is_written(store, "a"), timeout_s=60)
            etcd.start(member)


def test_without_a_quorum_nothing_is_written_and_with_one_all_goes_on(tmp_path: Path) -> None:
    with etcd_servers(tmp_path, 3, FLAGS) as etcd, closing(opened(*etcd.servers)) as store:
        for member in etcd.members[1:]:
            member.kill()
        assert not is_written(store, "a")
        with pytest.raises(StoreUnavailable):
            store.get("a")
        etcd.start(*etcd.members[1:])
        assert eventually(lambda: is_written(store, "b"), timeout_s=60)


def test_a_unit_may_be_as_large_as_it_says_and_no_larger(etcd: Etcd, tmp_path: Path) -> None:
    with closing(opened(*etcd.servers, root=tmp_path.name)) as store:
        half = b'"' * (511 << 10)
        store.commit([Put("a", half), Create("b", half)])
        found = [entry.value for entry in store.range("")]
        assert found == [half, half]
        with pytest.raises(TooLarge):
            store.commit([Put("a", half), Put("c", half), Create("d", half)])


# What is refused by name


def test_a_server_without_the_v2_api_is_refused_with_what_to_do(tmp_path: Path) -> None:
    refused = pytest.raises(StoreRefused, match="start it with --enable-v2")
    with etcd_servers(tmp_path) as etcd, refused:
        opened(*etcd.servers)


def test_a_server_that_nobody_runs_is_named() -> None:
    with pytest.raises(StoreUnavailable, match=r"etcd at 127\.0\.0\.1:9 does not answer"):
        opened("127.0.0.1:9")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """A server that asks who one is: ``jobx`` may all, ``other`` nothing."""
    with etcd_servers(tmp_path_factory.mktemp("users"), flags=FLAGS) as etcd:
        (member,) = etcd.members
        role = {"role": "all", "permissions": {"kv": {"read": ["/*"], "write": ["/*"]}}}
        asked(member, "/v2/auth/roles/all", role)
        for name, roles in (("root", []), ("jobx", ["all"]), ("other", [])):
            user = {"user": name, "password": "word", "roles": roles}
            asked(member, f"/v2/auth/users/{name}", user)
        asked(member, "/v2/auth/enable", "")
        guest = {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}
        eventually(lambda: asked(member, "/v2/auth/roles/guest", guest, "root:word"))
        yield etcd


def test_a_user_with_rights_reads_and_writes(users: Etcd) -> None:
    with closing(opened(*users.servers, **USER)) as store:
        store.commit([Put("a", b"1"), Create("b", b"")])
        entry = store.get("a")
    assert entry is not None and entry.value == b"1"


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"username": "jobx", "password": "wrong"},
        {"username": "nobody", "password": "word"},
        {"username": "other", "password": "word"},
    ],
    ids=str,
)
def test_a_user_who_may_not_is_refused_by_name(users: Etcd, user: dict[str, str]) -> None:
    with pytest.raises(StoreRefused, match=r"see store\.username"):
        opened(*users.servers, **user)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Member, Certificates]]:
    """A server that speaks TLS, and wants to see a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    made = Certificates(folder)
    cert, key = made.server
    flags = [V2, "--cert-file", cert, "--key-file", key, "--trusted-ca-file", made.ca]
    with etcd_servers(folder, flags=[*flags, "--client-cert-auth"], scheme="https") as etcd:
        yield etcd.members[0], made


def _tls(member: Member, ca: str, cert: str = "", key: str = "") -> Store:
    return opened(member.server, scheme="etcds2", ca_file=ca, cert_file=cert, key_file=key)


def test_a_server_with_tls_is_used_with_its_authority_and_a_certificate(
    secured: tuple[Member, Certificates],
) -> None:
    member, made = secured

    def is_open() -> bool:
        with suppress(StoreUnavailable), closing(_tls(member, made.ca, *made.client)) as store:
            return is_written(store, "a")
        return False

    assert eventually(is_open, timeout_s=60)


def test_what_does_not_fit_a_server_with_tls_is_refused_by_name(
    secured: tuple[Member, Certificates],
) -> None:
    member, made = secured
    for files in ((made.other, *made.client), (__file__,), (made.ca, __file__, __file__)):
        with pytest.raises(StoreRefused, match=r"TLS fails; see store\.ca_file"):
            _tls(member, *files)
    with pytest.raises(StoreRefused, match=r"store\.cert_file|TLS fails"):
        _tls(member, made.ca)
    with pytest.raises(StoreRefused, match="etcds2://"):
        opened(member.server)


def test_a_server_without_tls_is_refused_with(etcd: Etcd, tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="TLS"):
        _tls(etcd.members[0], Certificates(tmp_path).ca)
