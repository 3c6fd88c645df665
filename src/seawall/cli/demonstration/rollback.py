"""Act 6: somebody with both disks rolls the journal back. Its hashes cannot tell; a checkpoint held elsewhere does.

It is done to the small journal of act 3, and undone.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import seawall
from seawall.cli.demonstration.controls import configuration_of
from seawall.cli.demonstration.gate import DOLLAR, USDC
from seawall.cli.demonstration.story import Story
from seawall.cli.demonstration.venue import Venue
from seawall.journal import verify
from seawall.journal.checkpoint import CHECKPOINT_NAME, TILES_NAME, Checkpoint, SigningKey, compare, make_checkpoint
from seawall.journal.receipts import encode_receipt, make_receipt
from seawall.node import Configuration
from seawall.vocabulary.records import SYSTEM_ACCOUNTS, Kind

HELD: Final = "elsewhere"
NAME: Final = "demo.seawall/journal"
EXAMPLE: Final = Path(seawall.__file__).parents[2] / "examples" / "verify_receipt.py"


def rollback(story: Story, configuration: Configuration) -> None:
    """Copy both folders, trade on, sign, roll back, compare, and put things right."""
    story.act("Both disks are rolled back")
    own = configuration_of(configuration)
    held = story.out / HELD
    held.mkdir()
    key = SigningKey.create(NAME, held / "key")
    copies = [folder.with_name(f"{folder.name}.old") for folder in own.folders]
    for folder, copy in zip(own.folders, copies, strict=True):
        shutil.copytree(folder, copy)
    before = verify(own.folders).commands
    seq = _withdraw(story, own)
    tiles = Path(own.data) / TILES_NAME
    made = make_checkpoint(own.folders, tiles, key, hold=held)
    story.say(
        f"A customer withdraws, command {seq}; a checkpoint of {made.checkpoint.size} commands is signed and held."
    )
    receipt = held / "receipt.json"
    receipt.write_bytes(encode_receipt(make_receipt(own.folders, tiles, made.note, seq, key.public)))
    _show_receipt(story, receipt, held / "key.pub")
    _swap(own.folders, copies)
    found, note = verify(own.folders), key.public.open((held / CHECKPOINT_NAME).read_text())
    rolled = compare(own.folders, Checkpoint.parse(note))
    story.say(f"Both folders are put back to command {before:,}, as if the withdrawal had never been.")
    story.check("by itself the journal is sound: both copies verify clean", found.ok and found.commands == before)
    told = rolled.what.rpartition("; ")[2]
    story.check(
        f"the checkpoint tells: it has {made.checkpoint.size} commands; {told}", not rolled.ok and "rolled" in told
    )
    _swap(own.folders, copies)
    story.check("with the folders as they were, it holds", compare(own.folders, Checkpoint.parse(note)).ok)
    for copy in copies:
        shutil.rmtree(copy)


def _withdraw(story: Story, configuration: Configuration) -> int:
    """The venue goes on for a moment; the command that will be missed."""
    venue = Venue.start(configuration, life=1)
    events = venue.ask(Kind.WITHDRAW, account=SYSTEM_ACCOUNTS, currency=USDC, amount=1_000 * DOLLAR)
    venue.close(story)
    return int(events["seq"][0])


def _show_receipt(story: Story, receipt: Path, public_key: Path) -> None:
    if not EXAMPLE.is_file():
        story.say(f"{receipt} proves it to anybody: examples/verify_receipt.py of the source checks it.")
        return
    checked = [sys.executable, str(EXAMPLE), str(receipt), str(public_key)]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    ok = done.returncode == 0 and "kind WITHDRAW" in done.stdout
    story.check("its receipt is checked by 59 lines that use nothing of Seawall: the withdrawal was journalled", ok)


def _swap(folders: tuple[Path, ...], copies: list[Path]) -> None:
    """Exchange each folder with its copy."""
    for folder, copy in zip(folders, copies, strict=True):
        aside = folder.with_name(f"{folder.name}.aside")
        folder.rename(aside)
        copy.rename(folder)
        aside.rename(copy)
