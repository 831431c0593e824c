"""Submissions of jobs: checked, started once, or found again by their idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from jobx import model, questions, views
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.gateway import finding
from jobx.actors.gateway.finding import Finder, key_of
from jobx.actors.gateway.waiters import within
from jobx.actors.messages import RequestKey, Submit
from jobx.actors.request.branches import ROOT
from jobx.actors.request.ids import invocation_id
from jobx.errors import (
    ArgumentsRefused,
    Conflict,
    JobxError,
    KeyReused,
    NoCapability,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
)
from jobx.handlers.authoring.library import Library
from jobx.handlers.pairs import root_input
from jobx.handlers.pairs.root_input import RootInputs
from jobx.kv import keys
from jobx.kv.requests import request_entity, request_filter
from jobx.meanings import may_have_happened
from jobx.payload import Payload

T = TypeVar("T")

#: Arguments up to this size are checked on the loop.
QUICK_BYTES: Final = 4 << 10


class Submissions:
    """Starts requests.

    Args:
        finder: Finds requests that were started.
        library: The workflows that the node knows.
        writers: The result writers.
        stalled: Returns why nothing can be written now; None if it can.
    """

    def __init__(
        self,
        finder: Finder,
        library: Library,
        writers: Writers,
        stalled: Callable[[], JobxError | None],
    ) -> None:
        self._finder, self._node = finder, finder.node
        self._library = library
        self._writers = writers
        self._stalled = stalled
        self._inputs = RootInputs(self._node.blobs, self._node.settings.inline_bytes)
        #: Requests with an Idempotency-Key, durable or not.
        self._keys: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def submit(self, asked: questions.SubmitJob) -> views.Outcome:
        """Start a request, or find the one that was started before; see ``http/node/client.py``.

        The blob of arguments is removed if no request is started.
        """
        if asked.was_sent and (found := await self._found(asked)) is not None:
            return found
        try:
            asked = await self._with_large_kept(asked)
            outcome = await self._submit(asked)
        except JobxError as error:
            if not may_have_happened(error):
                await self._drop_arguments(asked)
            raise
        if outcome.request.request_id != asked.request_id:
            await self._drop_arguments(asked)
        return outcome

    async def _found(self, asked: questions.SubmitJob) -> views.Outcome | None:
        """Return what became of a request that was asked for before; None if it was not begun.

        So its arguments are not touched again if it was accepted with them.
        """
        key = key_of(asked)
        until = self._node.now() + (asked.wait_s if asked.is_blocking else 0.0)
        while True:
            try:
                return await self._finder.wait(key, max(0.0, until - self._node.now()))
            except NotFound:
                return None
            except OutcomeUnknown:
                if self._node.now() >= until:
                    raise

    async def _with_large_kept(self, asked: questions.SubmitJob) -> questions.SubmitJob:
        """Return a question whose large arguments are in a blob, if need be a new one."""
        item, inputs = asked.arguments, self._inputs
        key = asked.workflow, model.check_name("request", asked.request_id)
        if not isinstance(item, bytes):
            if item.is_synced or not asked.was_sent:
                return asked
            kept: bytes | questions.KeptArguments
            kept = await self._finder.in_thread(lambda: inputs.keep_again(*key, item))
        elif len(item) > inputs.inline_bytes:
            kept = await self._finder.in_thread(lambda: inputs.keep(*key, item))
        else:
            return asked
        return msgspec.structs.replace(asked, arguments=kept)

    async def _drop_arguments(self, asked: questions.SubmitJob) -> None:
        if isinstance(asked.arguments, bytes):
            return
        key = key_of(asked)
        with suppress(JobxError):  # the janitor finds what is left, and the answer counts more
            try:
                await self._finder.describe(key)
            except NotFound:
                await self._finder.in_thread(lambda: self._inputs.drop(*key))

    async def _submit(self, asked: questions.SubmitJob) -> views.Outcome:
        client_key = asked.idempotency_key
        if client_key is not None:
            first = await self._first_request(asked, client_key)
            if first is not None:
                return await self._replay(first, asked)
        job, message = await self._build_known(asked)
        await self._check_arguments(asked, message)
        if job.search:
            message = await self._searchable(asked, job, message)
        key = RequestKey(asked.workflow, message.request.request_id)
        if client_key is None:
            return await self._start(key, message, asked)
        slot, mine = (asked.workflow, asked.job, client_key), (key.request_id, asked.fingerprint)
        first = self._keys.setdefault(slot, mine)  # nothing is awaited between this and the start
        if first is not mine:
            return await self._replay(first, asked)
        try:
            return await self._start(key, message, asked)
        finally:
            del self._keys[slot]

    async def _start(
        self, key: RequestKey, message: Submit, asked: questions.SubmitJob
    ) -> views.Outcome:
        """Start a request, or find the one that has its id or its client's key already."""
        began = self._node.now()
        waiters, is_blocking = self._finder.waiters, message.request.is_blocking
        future = waiters.ended(key) if is_blocking else waiters.opened(key)
        self._finder.tell(message)
        try:
            request = await within(future, asked.wait_s if is_blocking else finding.ANSWER_S)
        except Conflict as error:
            left_s = max(0.0, asked.wait_s - (self._node.now() - began))
            asked = msgspec.structs.replace(asked, wait_s=left_s)
            return await self._find_other(key, error, asked)
        if request is not None:
            return self._finder.outcome(request)
        found, is_here = await self._finder.find_asked(key)
        return self._finder.outcome(found, is_here=is_here)

    async def _find_other(
        self, key: RequestKey, conflict: Conflict, asked: questions.SubmitJob
    ) -> views.Outcome:
        """Return the request that took the id, or the client's key, before this one.

        It is this one if another node coordinates it now.
        """
        client_key = asked.idempotency_key
        names = key.workflow, asked.job
        if client_key is None or conflict.args[0] != keys.idempotency(*names, client_key):
            return await self._find_taken(key, conflict, asked)
        first = await self._first_request(asked, client_key)
        if first is not None:
            return await self._replay(first, asked)
        raise conflict

    async def _find_taken(
        self, key: RequestKey, conflict: Conflict, asked: questions.SubmitJob
    ) -> views.Outcome:
        """Return the request that took the id.

        Raises:
            StoreUnavailable: There is none: a reader has waited for the first event of this one
                until it decided that the event will not come (see ``kv/etcd2/reading.py``).
        """
        try:
            return await self._finder.wait(key, asked.wait_s if asked.is_blocking else 0.0)
        except NotFound as error:
            reason = f"the store took too long to begin request {key.request_id}: {conflict}"
            raise StoreUnavailable(reason) from error

    async def _first_request(
        self, asked: questions.SubmitJob, client_key: str
    ) -> tuple[str, str] | None:
        slot = (asked.workflow, asked.job, client_key)
        stored = await self._finder.read(request_entity.idempotent, *slot)
        return stored or self._keys.get(slot)

    async def _replay(self, first: tuple[str, str], asked: questions.SubmitJob) -> views.Outcome:
        request_id, fingerprint = first
        if fingerprint != asked.fingerprint:
            reason = f"request {request_id} was asked for with it, and with another body"
            raise KeyReused("Idempotency-Key", repr(asked.idempotency_key)[:80], reason)
        key = RequestKey(asked.workflow, request_id)
        try:
            await self._finder.find_asked(key)
        except OutcomeUnknown as error:
            if request_id == asked.request_id:
                raise
            raise StoreUnavailable(str(error)) from error  # nothing of this one was begun
        try:
            outcome = await self._finder.wait(key, asked.wait_s if asked.is_blocking else 0.0)
        except NotFound as error:  # it was found before this, so its key is soon free
            reason = f"request {request_id} is being removed; nothing was started with its key"
            raise StoreUnavailable(reason) from error
        return msgspec.structs.replace(outcome, replayed=True)

    async def _build_known(self, asked: questions.SubmitJob) -> tuple[model.Job, Submit]:
        """Return the order to start a request, even for a job that was created a moment ago."""
        try:
            job = self._open_job(asked)
            return job, self._build(asked, job)
        except NotFound:
            if not await self._finder.in_thread(self._library.refresh):
                raise
        job = self._open_job(asked)
        return job, self._build(asked, job)

    def _build(
        self, asked: questions.SubmitJob, job: model.Job, search: tuple[str, ...] = ()
    ) -> Submit:
        """Check the submission and return the order to start it.

        Args:
            asked: The submission.
            job: Its job.
            search: Digests of the arguments that the request can be found by.
        """
        kept = asked.arguments
        digest, plan, plan_writes = self._library.plan(asked.workflow)
        self._check_step(plan, job)
        request = self._request(asked, job, digest)
        if search:
            request = msgspec.structs.replace(request, search=search)
        limits = self._node.settings.requests.time_limit_s, asked.time_limit_s, job.time_limit_s
        accept = request_entity.accept_writes(
            request, self._node.node_id, asked.fingerprint, self._node.incarnation
        )
        return Submit(
            request=request,
            step=job.initial_step_name,
            plan_digest=digest,
            plan=plan,
            arguments=root_input.chunk(kept),
            time_limit_s=min(filter(None, limits)),
            writes=(*plan_writes, *accept),
            reply_to=self._node.gateway,
            may_wait=job.when_unavailable == "wait",
            syncs_arguments=not isinstance(kept, bytes) and not kept.is_synced,
        )

    def _open_job(self, asked: questions.SubmitJob) -> model.Job:
        """Return the job, if the node takes requests now, and those of its workflow.

        This is looked at first: of a workflow of other nodes it may not know the jobs.
        """
        stalled = self._stalled()
        if isinstance(stalled, OutcomeUnknown):
            raise StoreUnavailable(str(stalled))  # from others: nothing of this one was started
        if stalled is not None:
            raise stalled
        served = self._node.settings.node.workflows
        if served and asked.workflow not in served:
            raise NotFound("workflow in this node's node.workflows", asked.workflow)
        return self._library.job(asked.workflow, asked.job)

    def _request(self, asked: questions.SubmitJob, job: model.Job, plan: str) -> model.Request:
        return model.Request(
            workflow_name=asked.workflow,
            request_id=model.check_name("request", asked.request_id),
            job_name=asked.job,
            invocation_id=invocation_id("map", ROOT),
            is_blocking=asked.is_blocking,
            context=asked.context,
            accepted_at=self._node.now_at(),
            destination=self._writers.choose(job, asked.request_id, asked.result_writer),
            idempotency_key=asked.idempotency_key,
            coordinator=self._node.node_id,
            plan=plan,
            retention_s=job.retention_s,
        )

    async def _check_arguments(self, asked: questions.SubmitJob, message: Submit) -> None:
        """Check the arguments against the spec of the first mapper.

        Raises:
            ArgumentsRefused: The spec does not accept them.
        """
        takes = self._library.takes(asked.workflow, message.step)
        if takes is None:
            return
        job, payload = f"{asked.workflow}/{asked.job}", message.arguments
        outline = root_input.outlined(asked.arguments)
        if outline is not None:
            with suppress(ArgumentsRefused):  # what is cut may be accepted, or named otherwise
                return takes.check(job, outline)

        def check() -> None:
            takes.check(job, self._inputs.outline(asked.workflow, asked.request_id, payload))

        await self._with_arguments(payload, check)

    async def _searchable(
        self, asked: questions.SubmitJob, job: model.Job, message: Submit
    ) -> Submit:
        """Return the order to start a request that can be found by what its job names."""
        names = job.search
        outline = root_input.outlined(asked.arguments)
        if outline is not None:
            return self._build(asked, job, request_filter.argument_digests(names, outline))
        payload = message.arguments

        def digests() -> tuple[str, ...]:
            given = self._inputs.outline(asked.workflow, asked.request_id, payload)
            return request_filter.argument_digests(names, given)

        return self._build(asked, job, await self._with_arguments(payload, digests))

    async def _with_arguments(self, payload: Payload, call: Callable[[], T]) -> T:
        """Return what a call returns that reads arguments; if they are large, in a thread."""
        if payload.inline is not None and len(payload.inline) <= QUICK_BYTES:
            return call()
        return await self._finder.in_thread(call)

    def _check_step(self, plan: model.Plan, job: model.Job) -> None:
        workflow, step = job.workflow_name, job.initial_step_name
        if step not in plan.steps:
            raise self._library.unplanned(workflow, step)
        missing = self._node.missing(workflow, plan.steps[step].required)
        if missing is not None and job.when_unavailable == "refuse":
            raise NoCapability(f"no node offers the capability {missing!r} of step {step!r}", 5.0)
