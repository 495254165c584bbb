"""The fixtures that we give to others, for our own tests too; and what the torture tells."""

import logging
from collections.abc import Iterator

import pytest

pytest_plugins = ["pytester", "seedance_async.testing", "tests.reporting", "tests.torture.summary"]


@pytest.fixture
def logging_ends() -> Iterator[None]:
    """What a command that runs in this process sets up for its logging ends with the test."""
    logger = logging.getLogger("seedance_async")
    before = logger.level, logger.handlers[:], logger.propagate
    yield
    logger.level, logger.handlers, logger.propagate = before
