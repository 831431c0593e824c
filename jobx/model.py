"""The stored entities: workflow, job, step, handler, request.

Fields have the original's names, so that plain tools can read an entity at its old path.
Entities are frozen; a change is a copy with ``msgspec.structs.replace``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import Annotated, Any, Final, Literal, TypeGuard

import msgspec

from jobx.errors import InvalidInput, quote
from jobx.payload import Payload

#: The look-ahead is needed because ``$`` also matches before a final newline.
NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]{0,62}$(?!\n)"
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=NAME_PATTERN,
        description="lower-case letters, digits, '_', '.', '-'; 1 to 63 characters",
        examples=["word_count"],
    ),
]
Description = Annotated[str, msgspec.Meta(max_length=4096)]
#: A year: more is as good as no limit, and infinity does not survive JSON.
MAX_SECONDS: Final = 31_536_000
Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)]
Count = Annotated[int, msgspec.Meta(ge=0)]
ArgumentName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]

HandlerType = Literal["mapper", "combiner", "reducer"]
ArgumentType = Literal["str", "int", "float", "bool", "bytes", "list", "dict", "any"]
RequestState = Literal["running", "succeeded", "failed", "cancelled"]
DeliveryState = Literal["pending", "delivered", "given_up"]
WhenUnavailable = Literal["refuse", "wait"]

_NAME: Final = re.compile(NAME_PATTERN)
NAME_REASON: Final = (
    "a name is 1 to 63 of a-z 0-9 _ . -, starts with a letter or digit, has no '..'"
)


class Entity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all entities: frozen, keyword-only, no unknown fields."""


class Workflow(Entity, frozen=True, kw_only=True):
    """An isolated container of jobs, steps and handlers."""

    workflow_name: Name
    description: Description
    #: Changes whenever a handler of the workflow changes: a hash over all versions.
    handlers_state: str | None = None


class Job(Entity, frozen=True, kw_only=True):
    """The noun one posts to, and its first step."""

    workflow_name: Name
    job_name: Name
    description: Description
    initial_step_name: Name
    #: Writer of the results of its requests; None means the deployment's (``results.writer``).
    result_writer: Name | None = None
    #: Options of that writer, instead of the deployment's.
    result_options: dict[str, Any] = {}
    #: A request may choose another writer.
    writer_choice: bool = False
    #: What becomes of a request while no node offers what its next step requires.
    when_unavailable: WhenUnavailable = "refuse"
    #: Time limit of its requests; that of the deployment is the most (``requests.time_limit_s``).
    time_limit_s: Seconds | None = None
    #: How long its finished requests are kept; None: ``requests.retention_s``.
    retention_s: Seconds | None = None
    #: Arguments that its requests can be found by: those that are text, numbers, booleans or null.
    search: Annotated[tuple[ArgumentName, ...], msgspec.Meta(max_length=4)] = ()


class Step(Entity, frozen=True, kw_only=True):
    """Binds a mapper, an optional combiner and a reducer."""

    workflow_name: Name
    step_name: Name
    description: Description
    map_handler_name: Name
    combine_handler_name: Name | None = None
    reduce_handler_name: Name


class Retry(Entity, frozen=True, kw_only=True):
    """When an invocation is retried after its handler raised.

    Lost executors (crash, kill, memory limit) are counted separately, see
    ``requests.lost_attempts`` in the settings. An author's exception is final unless ``attempts``
    is more than 1.
    """

    #: Tries in all, the first included.
    attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    #: Wait before the second try; doubles with each further try.
    backoff_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)] = 0.1
    max_backoff_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)] = 30.0
    #: Names of exception classes that are retried; empty means all.
    on: tuple[str, ...] = ()


class Example(Entity, frozen=True, kw_only=True):
    """Arguments and the expected pairs; it runs when the handler is stored."""

    arguments: Any = None
    expected: list[list[Any]] = []


class Handler(Entity, frozen=True, kw_only=True):
    """One body of author code."""

    workflow_name: Name
    handler_name: Name
    description: str
    handler_type: HandlerType
    source_type: Name = "python"
    source_code: str
    argument_spec: tuple[tuple[str, ArgumentType], ...] = ()
    required_capability: Name = "general"
    #: SHA-256 over everything that decides what the handler does; set when it is stored.
    version: str | None = None
    retry: Retry = Retry()
    time_limit_s: Seconds | None = None
    #: A combiner or reducer treats each key alone, whatever its form: its input may be partitioned.
    per_key: bool = False
    examples: tuple[Example, ...] = ()


class HandlerRef(Entity, frozen=True, kw_only=True):
    """A handler in a plan."""

    handler_name: Name
    version: str
    required_capability: Name = "general"
    retry: Retry = Retry()
    time_limit_s: Seconds | None = None
    #: The reducer or combiner is called once a key, so its input may be partitioned.
    per_key: bool = False


class PlanStep(Entity, frozen=True, kw_only=True, dict=True):
    """A step in a plan."""

    mapper: HandlerRef
    combiner: HandlerRef | None = None
    reducer: HandlerRef

    def handlers(self) -> Iterator[HandlerRef]:
        """Yield its handlers, in the order of their stages."""
        yield from filter(None, (self.mapper, self.combiner, self.reducer))

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The capabilities that one node must offer, so that a mapper can run to its end there.

        Its combiner and its reducer may follow in the same executor.
        """
        return tuple(dict.fromkeys(ref.required_capability for ref in self.handlers()))


class Plan(Entity, frozen=True, kw_only=True, dict=True):
    """All steps of a workflow with the handler versions that a request pins at its start."""

    steps: dict[str, PlanStep]

    @cached_property
    def required(self) -> frozenset[str]:
        """The capabilities that its steps require, of one node or of several."""
        return frozenset(ref.required_capability for ref in self.handlers())

    def handlers(self) -> Iterator[HandlerRef]:
        """Yield the handlers of all steps."""
        return chain.from_iterable(step.handlers() for step in self.steps.values())


class Failure(Entity, frozen=True, kw_only=True):
    """Why an invocation or a request ended without a result.

    ``kind`` says whose fault it is: ``author`` (an exception in a handler), ``pair`` (an
    invalid pair), ``protocol`` (a handler that breaks its contract), ``arguments``, ``scope`` (a
    scope factory failed), ``timeout``, ``memory``, ``crash`` (the executor, or a guest of it,
    died), ``lost``, ``capability`` (no node offers it, or what runs it is missing), ``blob`` (a
    stored value is gone), ``full`` (no room on the disk), ``cancelled``, ``limit`` or ``internal``.
    """

    kind: str
    type: str
    message: str
    #: The author's own lines only.
    traceback: str = ""
    invocation_id: str | None = None
    handler_name: str | None = None
    step_name: str | None = None
    attempt: int = 1
    #: The input of the failed invocation, shortened.
    input: str | None = None
    #: Index of the yielded pair that did not fit.
    pair: int | None = None
    #: The base classes of an exception, nearest first.
    bases: tuple[str, ...] = ()


class Counts(Entity, frozen=True, kw_only=True):
    """How many invocations of a request are in which state."""

    #: Known mapper invocations.
    mapped: Count = 0
    #: Mapper invocations whose result (or failure) is final.
    finished: Count = 0
    retried: Count = 0
    #: Invocations of all kinds that succeeded: mappers, combiners and reducers.
    invocations: Count = 0


class Destination(Entity, frozen=True, kw_only=True):
    """Where the result of a request goes, fixed when the request is accepted."""

    writer: Name
    options: dict[str, Any] = {}
    #: The place, for people; it contains no secret.
    place: str = ""


class Delivery(Entity, frozen=True, kw_only=True):
    """The state of the delivery of a result."""

    #: The same in every try, so that a receiver can drop repeats.
    delivery_id: str
    writer: Name
    place: str = ""
    state: DeliveryState = "pending"
    #: Started tries.
    attempts: Count = 0
    #: Error of the last try.
    error: str | None = None
    #: When the next try is due, at the earliest.
    next_at: float | None = None
    #: Time of the delivery, or when it was given up.
    ended_at: float | None = None


class Request(Entity, frozen=True, kw_only=True):
    """One request; written when it is accepted and when it has ended."""

    workflow_name: Name
    request_id: str
    job_name: Name
    #: The root mapper invocation.
    invocation_id: str
    state: RequestState = "running"
    is_done: bool = False
    is_blocking: bool = True
    context: dict[str, Any] = {}
    accepted_at: float
    finished_at: float | None = None
    failed_invocation_id: str | None = None
    failure: Failure | None = None
    counts: Counts = Counts()
    #: Where the pairs of the result are; None before there is one.
    result: tuple[Payload, ...] | None = None
    #: Pairs in the result.
    result_pairs: int | None = None
    #: Destination of the result in addition to the store, None if there is none.
    destination: Destination | None = None
    idempotency_key: str | None = None
    #: The node that coordinates it, or did at its end; None in requests of 1.0.0.
    coordinator: str | None = None
    #: Digest of its plan; None in requests of 1.0.0, whose log has it.
    plan: str | None = None
    #: How long it is kept after its end, by its job; None: as long as the deployment says.
    retention_s: Seconds | None = None
    #: Capabilities that no node offers, and its work waits for; live like ``counts``.
    waits_for: tuple[str, ...] = ()
    #: Digests of the arguments that its job finds requests by (``request_filter``). Requests
    #: without any do not have the field, so that older versions read them.
    search: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def is_name(name: object) -> TypeGuard[str]:
    """Tell whether something is a valid name of an entity."""
    return isinstance(name, str) and bool(_NAME.match(name)) and ".." not in name


def check_name(where: str, name: object) -> str:
    """Return ``name`` if it is a valid name of an entity.

    Raises:
        InvalidInput: It is not.
    """
    if is_name(name):
        return name
    raise InvalidInput(where, quote(name), NAME_REASON)
