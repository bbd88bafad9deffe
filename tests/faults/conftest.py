"""What the tests of damaged files share."""

from typing import Any

import pytest


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home for the module: hypothesis runs many examples in one test."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILLERY_DATA", str(folder / "data"))
        patch.setenv("DISTILLERY_RESULTS", str(folder / "results"))
        yield folder
