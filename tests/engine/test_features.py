"""Every scenario in `features/` holds on both engines."""

import re

import pytest
from steps import FEATURES, STEPS, matching, run, scenarios

SCENARIOS = {f"{file}: {title}": (file, tags, lines) for file, tags, title, lines in scenarios()}


@pytest.mark.parametrize("title", SCENARIOS)
def test_scenario(engine, title):
    file, _, lines = SCENARIOS[title]
    run(engine, file, lines)


def test_no_two_scenarios_have_one_title():
    titles = [line for path in FEATURES.glob("*.feature") for line in re.findall("Scenario: .*", path.read_text())]
    assert len(titles) == len(SCENARIOS) == len(scenarios())


def test_every_sentence_there_is_is_used():
    used = {id(matching(sentence)[0]) for _, _, lines in SCENARIOS.values() for _, sentence in lines}
    assert [pattern for pattern, step in STEPS if id(step) not in used] == []
