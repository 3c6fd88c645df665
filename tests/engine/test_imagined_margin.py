"""The account pages' formulas over the engine's: of an owner's accounts, where gains are capped, whatever the rules.

`api.requirements` rebuilds what the engine shows of an account; a page may not show another number than the gate used.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from test_owners import NEWEST, SPECS, WHOLE, Split
from venue import ENGINES

from seawall.api.requirements import Requirements
from seawall.vocabulary.records import Kind


def pages(split, rules):
    """What the account pages reckon with."""
    made = Requirements({number: SimpleNamespace(spec=spec) for number, spec in enumerate(SPECS)}, rules)
    made.publish(np.frombuffer(split.made.encode(), "<i8").tolist())
    return made


@pytest.mark.parametrize("rules", [3, NEWEST])
def test_a_page_shows_what_the_gate_uses(rules):
    for seed in range(20):
        split = Split(ENGINES["fast"](), seed, rules)
        for _ in range(2):
            requirements = pages(split, rules)
            for account in (WHOLE, *split.mine):
                seen = split.venue.engine.account_view(account)
                initial, maintenance = requirements.rows(requirements.account(seen))
                assert initial + seen["reserve"] == seen["initial"], f"seed {seed}"
                assert maintenance + seen["reserve"] == seen["maintenance"], f"seed {seed}"
                same = requirements.imagine(seen, {}, add=True)
                assert same.pop("before") == seen["positions"], f"seed {seed}"
                assert {name: same[name] for name in same if name != "blocks"} == {
                    name: seen[name] for name in seen if name != "blocks"
                }, f"seed {seed}"
            split.move()


@pytest.mark.parametrize("rules", [3, NEWEST])
def test_positions_imagined_anew_need_what_the_real_ones_need(rules):
    for seed in range(20):
        split = Split(ENGINES["fast"](), seed, rules)
        split.venue.do(Kind.CANCEL_ALL, account=-1, instrument=-1)
        split.move()
        for account in (WHOLE, *split.mine):
            seen = split.venue.engine.account_view(account)
            wanted = {number: held[0] for number, held in seen["positions"].items()}
            imagined = pages(split, rules).imagine(seen, wanted, add=False)
            assert (imagined["initial"], imagined["maintenance"]) == (seen["initial"], seen["maintenance"])
