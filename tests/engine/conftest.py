"""Every engine test runs on both engines: the fixtures are parametrised, the tests do not know which they are given."""

import pytest
from venue import ENGINES, Venue, open_venue

from seawall.vocabulary.records import SYSTEM_ROUNDING


@pytest.fixture(params=sorted(ENGINES))
def engine(request):
    """A fresh engine of either kind."""
    return ENGINES[request.param]()


@pytest.fixture
def empty(engine):
    """A venue with nothing defined yet."""
    return Venue(engine)


@pytest.fixture
def venue(engine):
    """An open venue without fees; afterwards the rounding account must not have paid anyone."""
    opened = open_venue(engine)
    yield opened
    assert min(opened.account(SYSTEM_ROUNDING)["balance"]) >= 0
