"""The addresses of pages. They are for people, so the OpenAPI document has none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jobx.http.pages import jobs, node, overview, request, requests, timelines, ui, workflows
from jobx.http.pages.ui import ROOT, PageResponder

_REQUEST: Final = f"{ROOT}/request/{{workflow}}/{{request_id}}"


@dataclass(frozen=True, slots=True)
class Page:
    """One method of one page.

    Attributes:
        method: In lower case.
        path: In the form of Falcon's router.
        respond: What answers.
        query_names: The parameters that its query may have.
    """

    method: str
    path: str
    respond: PageResponder
    query_names: tuple[str, ...] = ()


PAGES: Final = (
    Page("get", ROOT, overview.redirect),
    Page("get", f"{ROOT}/", overview.overview, ("after",)),
    Page("get", f"{ROOT}/static/{{name}}", ui.send_file),
    Page("get", f"{ROOT}/node", node.node),
    Page("get", f"{ROOT}/notifications", node.notifications),
    Page("get", f"{ROOT}/actors", node.actors, node.FILTERS),
    Page("get", f"{ROOT}/actor", node.actor, ("address", "node")),
    Page("get", f"{ROOT}/requests/{{workflow}}", requests.list_page, requests.FILTERS),
    Page("get", _REQUEST, request.show),
    Page("post", _REQUEST, request.act),
    Page("get", f"{_REQUEST}/tree", request.tree, request.TREE),
    Page("get", f"{_REQUEST}/invocations", request.invocations, request.INVOCATIONS),
    Page("get", f"{_REQUEST}/timeline", request.timeline, timelines.PARAMETERS),
    Page("get", f"{_REQUEST}/result", request.result),
    Page("get", f"{_REQUEST}/invocation/{{invocation_id}}", request.invocation),
    Page("get", f"{ROOT}/workflow/{{workflow}}", workflows.workflow),
    Page("get", f"{ROOT}/handler/{{workflow}}/{{name}}", workflows.handler, ("version",)),
    Page("get", f"{ROOT}/job/{{workflow}}/{{job}}", jobs.show),
    Page("post", f"{ROOT}/job/{{workflow}}/{{job}}", jobs.run),
)
