"""The story of `seawall demo`, act by act. Each act does, shows and checks; a failed check makes the answer no.

story.py    narration, checks, what the report will need
venue.py    a node with its simulated market, in this process
trading.py  act 1: a market trades
gate.py     act 2: what the gate refuses, in a trader's words (wording.py)
controls.py act 3: twenty controls at their limits, on a small venue of their own
crash.py    act 4: the writer (writer.py, a process of its own) is killed with -9
rot.py      act 5: a byte of one copy is flipped
rollback.py act 6: both copies are rolled back, which a signed checkpoint held elsewhere tells
recorded.py act 7: a recorded market folds through the same engine
report.py   the HTML report
"""

import shutil
import time
from pathlib import Path
from typing import Final

from seawall.cli.demonstration.controls import FOLDER as CONTROLS
from seawall.cli.demonstration.controls import controls
from seawall.cli.demonstration.crash import crash
from seawall.cli.demonstration.gate import gate
from seawall.cli.demonstration.recorded import FILE, FOLDER, recorded
from seawall.cli.demonstration.report import report
from seawall.cli.demonstration.rollback import HELD, rollback
from seawall.cli.demonstration.rot import rot
from seawall.cli.demonstration.story import Story
from seawall.cli.demonstration.trading import trading
from seawall.cli.demonstration.venue import configuration_of
from seawall.cli.output import Answer, load_kernels, send_logs_to_stderr
from seawall.vocabulary.errors import InputError

SETTINGS: Final = "seawall.toml"
FIRST_LINE: Final = "# Written by seawall demo; running it again replaces this folder's journal and report.\n"


def tell(out: Path, seed: int, engine: str, as_json: bool) -> Answer:
    """Play every act in `out`. Raises InputError if the folder holds anything but an earlier demo."""
    send_logs_to_stderr("warning")  # the story tells what the node would
    story = Story(out, as_json)
    try:
        _clear(out)
    except OSError as error:
        raise InputError("--out", str(out), f"must be a folder that can be written: {error.strerror}") from error
    configuration = configuration_of(out, seed, engine)
    (out / SETTINGS).write_text(FIRST_LINE + configuration.toml())
    load_kernels(engine)
    for act in (trading, gate, controls, crash, rot, rollback, recorded, report):
        began, told = time.monotonic(), story.acts
        act(story, configuration)
        if story.acts > told:
            story.note(f"({time.monotonic() - began:.1f} s)")
    return story.end()


def _clear(out: Path) -> None:
    settings = out / SETTINGS
    if out.exists() and any(out.iterdir()):
        if not settings.is_file() or not settings.read_text().startswith(FIRST_LINE):
            raise InputError("--out", str(out), "must be new, empty, or the folder of an earlier demo")
        for folder in ("journal", CONTROLS, HELD, FOLDER):
            shutil.rmtree(out / folder, ignore_errors=True)
        for file in ("report.html", FILE):
            (out / file).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
