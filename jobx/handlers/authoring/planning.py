"""Pins the steps of a workflow to the versions of their handlers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from jobx import model
from jobx.errors import EntryDamaged, InvalidInput, JobxError, NotFound
from jobx.handlers.authoring import checks
from jobx.handlers.languages.base import Checked
from jobx.handlers.scope.arguments import Takes
from jobx.handlers.scope.mr_form import is_mr_form
from jobx.kv.entities.entities import WorkflowSnapshot

_log = logging.getLogger(__name__)


class Planner:
    """Makes plans; it reads each version of a handler once."""

    def __init__(self) -> None:
        self._read_before: dict[str, Checked] = {}

    def pin(
        self, snapshot: WorkflowSnapshot, faults: Mapping[tuple[str, str], EntryDamaged]
    ) -> tuple[dict[str, model.PlanStep], dict[str, JobxError]]:
        """Return the steps that can run, and why the others cannot."""
        steps: dict[str, model.PlanStep] = {}
        broken: dict[str, JobxError] = {}
        for name, step in sorted(snapshot.steps.items()):
            try:
                steps[name] = self._pin_step(step, snapshot.handlers)
            except (InvalidInput, NotFound) as error:
                _log.warning("step %s/%s cannot run: %s", step.workflow_name, name, error)
                fields = (
                    step.map_handler_name,
                    step.combine_handler_name,
                    step.reduce_handler_name,
                )
                damaged = (faults.get(("handler", field or "")) for field in fields)
                broken[name] = next(filter(None, damaged), error)
        return steps, broken

    def _pin_step(self, step: model.Step, handlers: dict[str, model.Handler]) -> model.PlanStep:
        combiner = step.combine_handler_name
        return model.PlanStep(
            mapper=self._ref(handlers, step.map_handler_name, "mapper"),
            combiner=self._ref(handlers, combiner, "combiner") if combiner else None,
            reducer=self._ref(handlers, step.reduce_handler_name, "reducer"),
        )

    def _ref(
        self, handlers: dict[str, model.Handler], name: str, kind: model.HandlerType
    ) -> model.HandlerRef:
        handler = handlers.get(name)
        if handler is None or handler.version is None or handler.handler_type != kind:
            raise NotFound(kind, name)
        return model.HandlerRef(
            handler_name=name,
            version=handler.version,
            required_capability=handler.required_capability,
            retry=handler.retry,
            time_limit_s=handler.time_limit_s,
            per_key=kind != "mapper" and self._is_per_key(handler),
        )

    def _is_per_key(self, handler: model.Handler) -> bool:
        return self._checked(handler).per_key or handler.per_key

    def _checked(self, handler: model.Handler) -> Checked:
        """Return what is known of a handler, read once for each version."""
        version = handler.version or ""
        if version not in self._read_before:
            self._read_before[version] = checks.read(
                handler.source_type, handler.source_code, handler.handler_type
            )
        return self._read_before[version]

    def forget(self, used: Collection[str]) -> None:
        """Forget what is known of other versions than those used."""
        self._read_before = {v: read for v, read in self._read_before.items() if v in used}

    def takes(self, handler: model.Handler) -> Takes | None:
        """Return the arguments that a mapper takes, None if its header does not say."""
        spec = handler.argument_spec
        if not spec or is_mr_form(handler.source_type, handler.handler_type, spec):
            return None
        try:
            return Takes(spec, self._checked(handler).optional)
        except InvalidInput:  # its language, or the version of it, is unknown to this node
            return None
