from __future__ import annotations

from jobx.http.pages import workflows
from jobx.kv.entities.entities import Entities
from tests.support import authoring
from tests.support.fake_node import FakeNode
from tests.unit.http.pages.conftest import Visit


def test_workflow_shows_its_jobs_steps_and_handlers(visit: Visit) -> None:
    page = visit("/ui/workflow/texts")
    assert {"/ui/job/texts/count", "/ui/handler/texts/count", "/ui/handler/texts/sum"} <= set(
        page.links
    )
    assert "step-count" in page.ids


def test_handler_shows_its_source_and_the_steps_that_use_it(visit: Visit) -> None:
    page = visit("/ui/handler/texts/count")
    assert 'for word in arguments["text"].split():' in page.text
    assert "/ui/workflow/texts#step-count" in page.links


def test_large_source_is_not_shown(visit: Visit, node: FakeNode) -> None:
    source = "x = 1\n" * (workflows.MAX_SOURCE // 6 + 1)
    large = authoring.handler("large", "reducer", source, workflow_name="texts")
    Entities(node.store).create(large)
    page = visit("/ui/handler/texts/large")
    assert "characters long" in page.text
    assert len(page.text) < 10_000
