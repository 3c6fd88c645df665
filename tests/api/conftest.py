import pytest
from api_venue import Venue


@pytest.fixture
def venue(tmp_path):
    made = Venue(tmp_path)
    yield made
    made.stop()
