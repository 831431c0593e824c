"""Collections in a store: queues (in the order of adding) and trees (by name).

A collection is a head and its children, all JSON. The children have a root of their own; those of a
collection that 1.0.0 created stay below the key of their head, as its value shows. Every edit
replaces the head, on the condition that nobody replaced it since it was read. So edits of many
threads and processes happen one after the other, and a wait for a change watches one key. An edit
that loses its race is repeated on the new content.

An entity in a collection is a reference; reading it returns its present state.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import ClassVar, Final, TypeAlias, TypeVar

from jobx.errors import AlreadyExists, Conflict, InvalidInput, NotFound, quote
from jobx.kv import keys
from jobx.kv.collections import items
from jobx.kv.entities.references import AnyEntity, read
from jobx.kv.store import Create, Delete, DeletePrefix, Entry, Put, Replace, Store, Write
from jobx.model import Workflow, check_name
from jobx.system import backoff
from jobx.values import Value

T = TypeVar("T")
Change: TypeAlias = Callable[[Value], Value]
Texts: TypeAlias = list[str]  # KvTree has a method named "list"
Values: TypeAlias = list[Value]
Items: TypeAlias = list[tuple[str, Value]]
EntityList: TypeAlias = list[AnyEntity]
EntityItems: TypeAlias = list[tuple[AnyEntity, Value]]

#: How long an edit is repeated while others win.
EDIT_S: Final = 10.0
#: Longest wait for a change.
MAX_WAIT_S: Final = 3600.0
#: Longest name of a child of a tree.
MAX_CHILD_CHARACTERS: Final = 200

_FIRST_PAUSE_S: Final = 0.001
_LAST_PAUSE_S: Final = 0.05


class _Collection:
    """What queues and trees share.

    Every method but ``create`` and ``exists`` raises NotFound if the collection or the child does
    not exist. An edit raises Conflict if others win for ``EDIT_S``. All raise the errors of the
    store.
    """

    _noun: ClassVar[str]

    def __init__(self, store: Store, workflow: str, roots: tuple[str, str], name: str) -> None:
        self._store = store
        self._workflow = check_name("workflow", workflow)
        self._name = f"{workflow}/{check_name(self._noun, name)}"
        self._head = roots[0] + name
        self._prefix = f"{roots[1]}{name}/"

    def create(self) -> None:
        """Create an empty collection.

        Raises:
            AlreadyExists: A collection of that name exists.
            NotFound: The workflow does not exist.
        """
        read(self._store, Workflow, self._workflow)
        try:
            self._store.commit([Create(self._head, items.dump({"edits": 0, "apart": True}))])
        except Conflict as error:
            raise AlreadyExists(self._noun, self._name) from error

    def exists(self) -> bool:
        """Return whether the collection exists."""
        return self._store.get(self._head) is not None

    def delete(self) -> None:
        """Remove the collection with everything in it."""

        def remove(head: Entry) -> tuple[list[Write], None]:
            prefix = self._prefix_of(items.load(head.value))
            return [Delete(head.key, head.revision), DeletePrefix(prefix)], None

        self._retry(remove)

    def revision(self) -> int:
        """Return the revision, which every edit changes, for ``wait_for_change``."""
        return self._read_head().revision

    def wait_for_change(self, revision: int, timeout_s: float) -> int | None:
        """Wait until the collection has another revision than ``revision``, and return it.

        An edit between reading the revision and waiting is seen. None means that the time ran
        out (``MAX_WAIT_S`` at most) or that the collection is gone.
        """
        entry = self._store.wait(self._head, revision, min(timeout_s, MAX_WAIT_S))
        return entry.revision if entry else None

    def get(self, key: str) -> Value:
        """Return the value of a child."""
        return items.load(self._read(key).value)

    def update(self, key: str, change: Change) -> Value:
        """Replace the value of a child by ``change(value)``, and return that.

        ``change`` is called again, with the newer value, when somebody else was faster.
        """

        def plan(*_: object) -> tuple[list[Write], Value]:
            entry = self._read(key)
            value = change(items.load(entry.value))
            return [Replace(entry.key, items.dump(value), entry.revision)], value

        return self._edit(plan)

    def list_keys(self, limit: int | None = None) -> Texts:
        """Return the keys of the children, at most ``limit`` from the head."""
        return [self._key_of(entry) for entry in self._range(limit)]

    def list_data(self, limit: int | None = None) -> Values:
        """Return the values of the children, at most ``limit`` from the head."""
        return [items.load(entry.value) for entry in self._range(limit)]

    def delete_key(self, key: str) -> None:
        """Remove a child."""
        self._edit(lambda _, __: ([Delete(self._read(key).key)], None))

    def _items(self, limit: int | None) -> Items:
        return [(self._key_of(entry), items.load(entry.value)) for entry in self._range(limit)]

    def _range(self, limit: int | None) -> list[Entry]:
        return self._look(lambda prefix: self._store.range(prefix, limit=limit))

    def _key_of(self, entry: Entry) -> str:
        return entry.key.rpartition("/")[2]

    def _read(self, key: str) -> Entry:
        entry = self._look(lambda prefix: self._store.get(prefix + key))
        if entry is None:
            raise NotFound(f"child of {self._noun} {self._name}", repr(key))
        return entry

    def _look(self, read: Callable[[str], T]) -> T:
        """Return what ``read`` finds below the prefix of the children of an existing collection."""
        found = read(self._prefix)
        if not found:
            prefix = self._prefix_of(items.load(self._read_head().value))
            return found if prefix == self._prefix else read(prefix)
        return found

    def _prefix_of(self, head: dict[str, Value]) -> str:
        """Return the prefix of the children, by the value of the head."""
        return self._prefix if "apart" in head else f"{self._head}/"

    def _read_head(self) -> Entry:
        head = self._store.get(self._head)
        if head is None:
            raise NotFound(self._noun, self._name)
        return head

    def _edit(self, plan: Callable[[int, str], tuple[list[Write], T]]) -> T:
        """Commit the writes of ``plan``.

        It gets the number of edits so far, and the prefix of the children.
        """

        def numbered(head: Entry) -> tuple[list[Write], T]:
            state = items.load(head.value)
            edits = state["edits"]
            writes, result = plan(edits, self._prefix_of(state))
            counted = items.dump({**state, "edits": edits + 1})
            # The head is last: all edits have this condition, and a store may go by the last one.
            return [*writes, Replace(head.key, counted, head.revision)], result

        return self._retry(numbered)

    def _retry(self, plan: Callable[[Entry], tuple[list[Write], T]]) -> T:
        deadline = time.monotonic() + EDIT_S
        for attempt in itertools.count():
            writes, result = plan(self._read_head())
            try:
                self._store.commit(writes)
                break
            except Conflict:
                if time.monotonic() > deadline:
                    raise
            time.sleep(backoff.luck() * backoff.doubled(_FIRST_PAUSE_S, attempt, _LAST_PAUSE_S))
        return result


class KvQueue(_Collection):
    """A directory of items in the order in which they were added; their keys sort in this order.

    Args:
        store: Where it is.
        workflow: The workflow that it belongs to.
        name: Its name in the workflow.
    """

    _noun = "queue"

    def __init__(self, store: Store, workflow: str, name: str) -> None:
        roots = keys.queues(workflow), keys.queue_items(workflow)
        super().__init__(store, workflow, roots, name)

    def add(self, value: Value) -> str:
        """Add a value at the end and return its key."""
        body = items.dump(value)

        def plan(edits: int, prefix: str) -> tuple[list[Write], str]:
            key = f"{edits:010d}"
            return [Create(prefix + key, body)], key

        return self._edit(plan)

    def add_entity(self, entity: AnyEntity) -> str:
        """Add a reference to an entity of the workflow at the end and return its key."""
        return self.add(items.reference(self._workflow, entity))

    def get_entity(self, key: str) -> AnyEntity:
        """Return the present state of the entity that an item refers to."""
        return items.entity(self._store, self._workflow, self.get(key))

    def list_keys_with_data(self, limit: int | None = None) -> Items:
        """Return keys and values of the items, at most ``limit`` from the head."""
        return self._items(limit)

    def list_entities(self, limit: int | None = None) -> EntityList:
        """Return the entities that the items refer to, at most ``limit`` from the head."""
        return [entity for _, entity in self.list_keys_with_entities(limit)]

    def list_keys_with_entities(self, limit: int | None = None) -> list[tuple[str, AnyEntity]]:
        """Return keys and entities of the items, at most ``limit`` from the head."""
        return [
            (key, items.entity(self._store, self._workflow, reference))
            for key, reference in self._items(limit)
        ]


class KvTree(_Collection):
    """A set of named children, with or without values, in the order of their names.

    A child that stands for an entity is named ``<kind>:<name>``.

    Args:
        store: Where it is.
        workflow: The workflow that it belongs to.
        name: Its name in the workflow.
    """

    _noun = "tree"

    def __init__(self, store: Store, workflow: str, name: str) -> None:
        roots = keys.trees(workflow), keys.tree_children(workflow)
        super().__init__(store, workflow, roots, name)

    def add(self, key: str, value: Value = None) -> None:
        """Add a child.

        Raises:
            AlreadyExists: There is one of that name.
            InvalidInput: The name is invalid.
        """
        child, body = _check_child(key), items.dump(value)

        def plan(_: int, prefix: str) -> tuple[list[Write], None]:
            if self._store.get(prefix + child) is not None:
                raise AlreadyExists(f"child of tree {self._name}", repr(key))
            return [Create(prefix + child, body)], None

        self._edit(plan)

    def set(self, key: str, value: Value = None) -> None:
        """Add a child or replace its value; raises InvalidInput as ``add``."""
        child, body = _check_child(key), items.dump(value)
        self._edit(lambda _, prefix: ([Put(prefix + child, body)], None))

    def add_entity(self, entity: AnyEntity, value: Value = None) -> None:
        """Add a child for an entity of the workflow; raises AlreadyExists as ``add``."""
        self.add(items.child(self._workflow, entity), value)

    def update_entity(self, entity: AnyEntity, change: Change) -> Value:
        """Replace the value of an entity's child; see ``update``."""
        return self.update(items.child(self._workflow, entity), change)

    def get_data_for_entity(self, entity: AnyEntity) -> Value:
        """Return the value of an entity's child."""
        return self.get(items.child(self._workflow, entity))

    def list(self, limit: int | None = None) -> Items:
        """Return names and values of the children, at most ``limit``."""
        return self._items(limit)

    def list_entities(self, limit: int | None = None) -> EntityList:
        """Return the entities that children stand for, of the first ``limit`` children."""
        return [entity for entity, _ in self.list_entities_and_data(limit)]

    def list_entities_and_data(self, limit: int | None = None) -> EntityItems:
        """Return entities and their values, of the first ``limit`` children."""
        found = []
        for key, value in self._items(limit):
            reference = items.reference_of(key)
            if reference is not None:
                found.append((items.entity(self._store, self._workflow, reference), value))
        return found


def _check_child(key: str) -> str:
    if 0 < len(key) <= MAX_CHILD_CHARACTERS and "/" not in key and key.isprintable():
        return key
    reason = f"a child's name is 1 to {MAX_CHILD_CHARACTERS} printable characters but '/'"
    raise InvalidInput("child of a tree", quote(key), reason)
