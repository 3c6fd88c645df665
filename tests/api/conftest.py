import pytest
from api_venue import Venue
from desk_venue import MODES, desk_venue


@pytest.fixture
def venue(tmp_path):
    made = Venue(tmp_path)
    yield made
    made.stop()


def pytest_generate_tests(metafunc):
    """A module that says so runs behind a desk, too."""
    if "dev" in metafunc.fixturenames and getattr(metafunc.module, "BEHIND_A_DESK", False):
        metafunc.parametrize("dev", MODES, indirect=True, scope="module")


@pytest.fixture(scope="module")
def dev(request, tmp_path_factory):
    """A dev venue where nobody else trades, alone or with a desk before it."""
    with desk_venue(tmp_path_factory.mktemp("dev"), getattr(request, "param", "direct")) as started:
        yield started
