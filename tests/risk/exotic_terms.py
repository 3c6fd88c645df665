"""Golden cases and drawn markets for the tests of the exotics."""

import json
from pathlib import Path

import pytest
from hypothesis import strategies as st

from seawall.risk.exotics import CALL, DOWN, IN, OUT, PUT, UP, Diffusion

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
PRINTED = 6.5e-5
"""Half of the last printed digit, and the half more by which five rows of the book lie off their exact values."""

SIDES = {"DownOut": (DOWN, OUT), "UpOut": (UP, OUT), "DownIn": (DOWN, IN), "UpIn": (UP, IN)}


def cases(name):
    """The cases of one file of golden vectors."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"golden vectors absent: {name}")
    return json.loads(path.read_text())["cases"]


def market(given):
    """The diffusion of a case: its dividend is a yield, so carry = rate - dividend."""
    return Diffusion(given["spot"], given["sigma"], given["T"], given["rate"], given["rate"] - given["dividend"])


def kind(word):
    """+1 call, -1 put."""
    return CALL if word == "call" else PUT


diffusions = st.builds(
    Diffusion,
    spot=st.floats(50.0, 200.0),
    volatility=st.floats(0.02, 3.0),
    years=st.floats(1e-4, 3.0),
    rate=st.floats(0.0, 0.5),
    carry=st.floats(-0.5, 0.5),
)
ratios = st.floats(0.2, 5.0)
nearness = st.floats(0.3, 0.999)
signs = st.sampled_from([-1.0, 1.0])
