"""The stage on which client and server meet."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from .meeting import Stage


@pytest.fixture(scope="package", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Take what is old out of sight: each meeting ends with a full collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def stage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Stage:
    """A stage that keeps the log at DEBUG."""
    return Stage(tmp_path, caplog)
