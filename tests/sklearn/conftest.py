"""Tests of estimators share what they compile."""

import pytest

from builds import sharing_builds


@pytest.fixture(autouse=True, scope="module")
def shared_builds():
    with sharing_builds():
        yield
