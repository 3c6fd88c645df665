import pytest
from api_venue import Venue
from dev_venue import orderly


@pytest.fixture
def venue(tmp_path):
    made = Venue(tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    """A dev venue where nobody else trades."""
    with orderly(tmp_path_factory.mktemp("dev") / "venue") as started:
        yield started
