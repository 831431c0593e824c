"""Handlers of steps: which steps use one, and giving them others."""

from __future__ import annotations

from typing import Any

import msgspec

from jobx.entity_json import encode
from jobx.errors import TooLarge
from jobx.kv.entities.references import (
    HANDLER_FIELDS,
    check_handler,
    check_stored,
    key_of,
    read,
    read_all,
)
from jobx.kv.entities.stored_form import write_of
from jobx.kv.entities.transactions import change, change_in_pieces
from jobx.kv.store import Put, Store, Write
from jobx.model import HandlerType, Step


class StepHandlers:
    """The handlers of the steps of a workflow; raises as ``Entities``."""

    def __init__(self, store: Store, workflow: str) -> None:
        self._store = store
        self._workflow = workflow

    def using(self, handler_name: str) -> list[Step]:
        """Return the steps that use a handler, by name."""
        fields = HANDLER_FIELDS.values()
        return [
            step
            for step in read_all(self._store, Step, self._workflow)
            if any(getattr(step, field) == handler_name for field in fields)
        ]

    def give(
        self,
        step: str,
        mapper: str | None = None,
        combiner: str | None = None,
        reducer: str | None = None,
    ) -> Step:
        """Give a step other handlers and return it; None keeps one, ``''`` removes the combiner.

        Raises:
            InvalidInput: A handler is of another type than needed.
        """
        asked: dict[HandlerType, str | None] = {
            "mapper": mapper,
            "combiner": combiner,
            "reducer": reducer,
        }
        changes: dict[str, Any] = {
            HANDLER_FIELDS[kind]: name for kind, name in asked.items() if name is not None
        }
        if combiner == "":
            changes[HANDLER_FIELDS["combiner"]] = None

        def plan() -> tuple[list[Write], Step]:
            before, entry = read(self._store, Step, self._workflow, step)
            after = msgspec.structs.replace(before, **changes)
            check_stored(self._store, after)
            return write_of(entry.key, entry, after), after

        return change(self._store, self._workflow, plan)

    def replace(
        self, handler_type: HandlerType, from_name: str, to_name: str, simulate: bool = False
    ) -> list[str]:
        """Replace a handler by another in all steps that use it, and return the steps' names.

        A store with small transactions takes many steps in pieces.

        Args:
            handler_type: The type as which the steps use it.
            from_name: The present handler.
            to_name: The new handler.
            simulate: Change nothing.

        Raises:
            InvalidInput: One of the handlers is of another type.
        """
        field = HANDLER_FIELDS[handler_type]

        def plan() -> tuple[list[Write], list[str]]:
            for name in (from_name, to_name):
                check_handler(self._store, self._workflow, name, handler_type, handler_type)
            steps = [step for step in self.using(from_name) if getattr(step, field) == from_name]
            names = [step.step_name for step in steps]
            writes = [self._changed(step, field, to_name) for step in steps]
            return [] if simulate else writes, names

        try:
            return change(self._store, self._workflow, plan)
        except TooLarge:
            names = plan()[1]
            change_in_pieces(
                self._store, self._workflow, lambda: [(None, [one]) for one in plan()[0]]
            )
            return names

    def _changed(self, step: Step, field: str, name: str) -> Write:
        after = msgspec.structs.replace(step, **{field: name})
        return Put(key_of(Step, self._workflow, step.step_name), encode(after))
