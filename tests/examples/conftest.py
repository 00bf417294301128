"""The examples as wheels, in an environment of their own together with the wheels of the workspace."""

from __future__ import annotations

import pytest
from example_folders import EXAMPLES, NAMES, Installed
from wheelhouse import Wheelhouse


@pytest.fixture(scope="session")
def installed(wheelhouse: Wheelhouse) -> Installed:
    wheels = wheelhouse.build(EXAMPLES)
    python = wheelhouse.environment("examples", [*wheelhouse.ours, *wheels])
    return Installed(python, dict(zip(NAMES, wheels, strict=True)))
