"""Workflows, jobs, steps and handlers as they are stored."""

from __future__ import annotations

from typing import Any

from jobx.views.base import View


class EntityView(View, frozen=True, kw_only=True):
    """The fields of one entity."""

    entity: dict[str, Any]


class EntityPage(View, frozen=True, kw_only=True):
    """A page of entities of a kind, by name.

    ``next`` is the cursor of the page behind, or None. ``unreadable`` says what is not in it though
    the store has it.
    """

    entities: list[dict[str, Any]]
    next: str | None = None
    unreadable: list[str] = []


class DeletionView(View, frozen=True, kw_only=True):
    """What a deletion broke, or took with it."""

    broken: list[str]


class RefreshView(View, frozen=True, kw_only=True):
    """Whether entities had changed."""

    changed: bool
