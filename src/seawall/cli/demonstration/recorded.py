"""Act 7: a recorded market folds through the same engine, and says how much of it was reproduced.

The recording is made here, by a small exchange of its own in the format of Binance's streams: a stranger's clone has no
other. `seawall import FILE --data DIR` does the same with a real one.
"""

from typing import Final

from seawall.cli.demonstration.story import Story
from seawall.cli.import_ import import_recording
from seawall.node import Configuration, replay
from seawall.sim.recording import record_synthetic

FILE: Final = "recording.jsonl.gz"
FOLDER: Final = "imported"


def recorded(story: Story, configuration: Configuration) -> None:
    """Record, import, replay with both engines."""
    story.act("A recorded market folds through the same engine")
    file = story.out / FILE
    record_synthetic(file, configuration.sim.seed)
    imported = Configuration.of({"data": str(story.out / FOLDER), "engine": configuration.engine})
    found = import_recording(file, story.out / FOLDER, engine=configuration.engine, bar=False).document
    story.say(
        f"{found['lines']:,} lines of depth and trades became {found['commands']:,} commands: level changes the orders"
        " of liquidity accounts, trades aggressors; liquidity only from what the recording had told before."
    )
    whole, done = found["trades_with_complete_depth"], found["reproduced_with_complete_depth"]
    story.say(f"{found['trades_recorded'] - whole:,} trades came before the first whole book and are left out.")
    story.check(f"the other {whole:,} are reproduced at their price and size", done == whole > 0)
    same = found["book_differences"] == 0 and found["book_checks"] > 0
    story.check(f"in {found['book_checks']:,} comparisons the books never differ", same)
    digests = {engine: replay(imported.folders, engine).digest for engine in ("fast", "reference")}
    story.check(f"both engines give the same events: digest {digests['fast'][:16]}…", len(set(digests.values())) == 1)
    story.facts |= {"recorded trades": found["trades_recorded"], "reproduced": found["trades_reproduced"]}
