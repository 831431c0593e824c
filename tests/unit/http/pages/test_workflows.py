from __future__ import annotations

import msgspec
import pytest

from jobx.http.pages import workflows
from jobx.kv.entities.entities import Entities
from jobx.model import Handler
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


@pytest.mark.parametrize(
    "source",
    ["x = 1\n" * (workflows.MAX_SOURCE // 6 + 1), "x = 1\n" + "\n" * workflows.MAX_LINES],
    ids=["characters", "lines"],
)
def test_large_source_is_not_shown(visit: Visit, node: FakeNode, source: str) -> None:
    large = authoring.handler("large", "reducer", source, workflow_name="texts")
    Entities(node.store).create(large)
    page = visit("/ui/handler/texts/large")
    assert "characters long" in page.text
    assert len(page.text) < 10_000


def test_handler_shows_how_it_differs_from_an_earlier_version(visit: Visit, node: FakeNode) -> None:
    entities = Entities(node.store)
    before = entities.get(Handler, "texts", "list")
    source = before.source_code.replace("value in values", "one in values") + "# <b>\n"
    entities.put(msgspec.structs.replace(before, source_code=source))
    place = f"/ui/handler/texts/list?version={before.version}"
    assert f"{place}#difference" in visit("/ui/handler/texts/list").links
    page = visit(place)
    assert "-    for value in values:" in page.text
    assert "+# <b>" in page.text


def test_version_that_is_not_there_is_not_found(visit: Visit) -> None:
    assert "no version named x" in visit("/ui/handler/texts/list?version=x", 404).text
