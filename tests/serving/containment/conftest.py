"""Fronts with hostile models: one as the product runs it, one without containment."""

from collections.abc import Iterator

import pytest

from tests.serving.containment.scene import Scene, scene


@pytest.fixture(scope="package")
def contained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Hostile models with what this machine has."""
    with scene(tmp_path_factory.mktemp("contained"), SERVING_CONTAINMENT="auto") as found:
        yield found


@pytest.fixture(scope="package")
def uncontained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The same models with SERVING_CONTAINMENT=off."""
    with scene(tmp_path_factory.mktemp("uncontained"), SERVING_CONTAINMENT="off") as found:
        yield found
