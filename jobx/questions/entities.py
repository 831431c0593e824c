"""Create, change and delete entities."""

from __future__ import annotations

import msgspec

from jobx import views
from jobx.questions.base import Limit, Long, Question, Text


class CreateEntity(Question[views.EntityView], frozen=True, kw_only=True, tag="entity.create"):
    """Create an entity of a kind; its fields are a packed map (``values.pack``)."""

    kind: Text
    fields: msgspec.Raw


class PutEntity(Question[views.EntityView], frozen=True, kw_only=True, tag="entity.put"):
    """Create or replace an entity; see ``CreateEntity``."""

    kind: Text
    fields: msgspec.Raw


class GetEntity(Question[views.EntityView], frozen=True, kw_only=True, tag="entity.get"):
    """An entity; a workflow is named twice."""

    kind: Text
    workflow: Text
    name: Text


class ListEntities(Question[views.EntityPage], frozen=True, kw_only=True, tag="entity.list"):
    """Entities of a kind, by name, behind a name; of all workflows where none is named."""

    kind: Text
    workflow: Text | None = None
    after: Long | None = None
    limit: Limit


class ListVersions(Question[views.EntityPage], frozen=True, kw_only=True, tag="handler.versions"):
    """The versions of a handler that the store still has, the last written first."""

    workflow: Text
    name: Text


class DeleteEntity(Question[views.DeletionView], frozen=True, kw_only=True, tag="entity.delete"):
    """Delete an entity that nothing refers to, or by ``force``."""

    kind: Text
    workflow: Text
    name: Text
    force: bool = False


class RefreshLibrary(Question[views.RefreshView], frozen=True, tag="library.refresh"):
    """Look now whether another process has changed entities."""
