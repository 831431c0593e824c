"""Systems on one etcd whose keys begin differently: none sees or removes what another one has."""

from __future__ import annotations

import uuid
from contextlib import ExitStack, closing
from typing import Final

import pytest

from jobx.config import Settings
from jobx.config_sections import StoreSettings
from jobx.kv.opening import open_store
from jobx.kv.store import DeletePrefix, Put
from tests.support.etcd import Etcd

#: Below one that is the test's own: some begin as others do, some are odd in a path or a URL.
ROOTS: Final = (
    *("a", "ab", "b/a", "b//a", "A", "_a", "-", "a=", "../a", "./a", "d/../a", "a b", "ü/ß"),
    *("a%2Fb", "a%", "a+b", "a\\b", "a&b", "a\nb", "x" * 300),
)


@pytest.mark.parametrize("scheme", ["etcd", "etcd2"])
def test_systems_with_different_prefixes_share_nothing(scheme: str, etcd: Etcd) -> None:
    own, roots = uuid.uuid4().hex, sorted(ROOTS)
    with ExitStack() as stack:
        stores = {
            root: stack.enter_context(
                closing(
                    open_store(
                        Settings(store=StoreSettings(url=f"{etcd.url_of(scheme)}/{own}/{root}"))
                    )
                )
            )
            for root in roots
        }
        for root, store in stores.items():
            store.commit([Put("entities/job/w/j", root.encode())])
        found = {root: [one.value.decode() for one in stores[root].range("")] for root in roots}
        assert found == {root: [root] for root in roots}
        for root in roots[::2]:
            stores[root].commit([DeletePrefix("")])
        assert [root for root in roots if stores[root].range("")] == roots[1::2]
