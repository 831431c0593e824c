"""Compiles the loops that run once a pair or once an invocation, if ``JOBX_COMPILE=1`` asks for it.

All else about the package stands in setup.cfg. What is compiled is the same Python that runs
otherwise, so without a compiler nothing is missing but speed. An editable install is never
compiled: there, what runs is what was edited.
"""

import os
import sys
import tempfile

from setuptools import Extension, setup

#: What an executor runs for each pair or invocation. Not modules whose types are read at run time,
#: nor those with generators that clean up: a compiled one that is dropped runs no ``finally``.
COMPILED = (
    "key_hashes",
    "tagged_json",
    "value_rules",
    "values",
    "handlers/scope/arguments",
    "handlers/execution/work_kinds",
    "handlers/execution/state",
    "handlers/execution/inputs",
    "handlers/scope/invocation",
    "handlers/execution/suspended",
    "handlers/pairs/ascending",
    "handlers/pairs/checking",
    "handlers/pairs/columns",
    "handlers/pairs/held",
    "handlers/pairs/merged_groups",
    "handlers/pairs/ordering",
    "handlers/pairs/grouping",
    "handlers/execution/shared_page",
    "handlers/execution/stage_data",
    "handlers/execution/time_limit",
    "handlers/execution/collecting",
    "handlers/pairs/sequences",
    "handlers/blobs/blob_file",
    "handlers/pairs/run_writer",
    "handlers/execution/trip",
)
# The compiler comes with mypy, which checks the very same files in `make types`.
MYPY = "mypy==2.4.1"
#: Types of other packages are not needed, and not there in an isolated build: modules that are not
#: compiled, which are derived from them, are only looked into.
OPTIONS = (
    "--config-file=",
    "--ignore-missing-imports",
    "--follow-imports=silent",
    "--strict",
    "--no-warn-return-any",
    "--no-warn-unused-ignores",
)

is_wanted = os.environ.get("JOBX_COMPILE", "") not in ("", "0")


def extensions() -> list[Extension]:
    """Return the modules to compile; none while setuptools only asks what a build needs."""
    if not is_wanted or not {"bdist_wheel", "build_ext"}.intersection(sys.argv):
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 - only there when it was asked for

    files = [f"jobx/{name}.py" for name in COMPILED]
    return mypycify([*OPTIONS, *files], opt_level="3", group_name="jobx")


# A build folder that is used again puts modules into the package that the source has no more.
with tempfile.TemporaryDirectory(prefix="jobx-build-") as fresh:
    setup(
        setup_requires=[MYPY] if is_wanted else [],
        ext_modules=extensions(),
        options={"build": {"build_base": fresh}},
    )
