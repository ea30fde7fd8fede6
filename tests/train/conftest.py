"""Tests of training share what they compile; those that ask for `both_ways` run eagerly too."""

import pytest

from builds import compiling, sharing_builds


@pytest.fixture(autouse=True, scope="module")
def shared_builds():
    with sharing_builds():
        yield


@pytest.fixture(scope="module", params=[True, False], ids=["compiled", "eager"])
def both_ways(request):
    with compiling(request.param):
        yield request.param
