from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from jobx import config_loading
from jobx.config import Settings
from jobx.config_sections import HttpSettings, NodeSettings
from jobx.tools.serving.programs import variables


@given(
    executors=st.integers(0, 256),
    drain_s=st.floats(0.001, 1e6),
    capabilities=st.lists(st.from_regex(r"[a-z]+", fullmatch=True)),
    bind=st.text(st.characters(categories=("L", "N", "P")), max_size=20),
)
def test_variables_carry_settings_to_a_child(
    executors: int, drain_s: float, capabilities: list[str], bind: str
) -> None:
    node = NodeSettings(
        data_dir="/d", executors=executors, drain_s=drain_s, capabilities=tuple(capabilities)
    )
    settings = Settings(node=node, http=HttpSettings(bind=bind))

    assert config_loading.load(None, variables(settings)) == settings


def test_variables_make_the_data_folder_absolute() -> None:
    relative = msgspec.structs.replace(NodeSettings(), data_dir="here")

    assert variables(Settings(node=relative))["JOBX_NODE_DATA_DIR"].startswith("/")
