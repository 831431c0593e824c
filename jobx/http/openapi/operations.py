"""The HTTP interface: every operation, what answers it, and what its description says.

Routes and the OpenAPI document are made from this list.
"""

from __future__ import annotations

from jobx.http.openapi.entity_operations import entity_operations
from jobx.http.openapi.node_operations import node_operations
from jobx.http.openapi.operation import Operation
from jobx.http.openapi.request_operations import request_operations


def operations() -> list[Operation]:
    """Return every operation."""
    return [*request_operations(), *node_operations(), *entity_operations()]
