"""Act 5: a byte of one copy is flipped; it is found, named, and repaired from the other copy."""

from typing import Final

from seawall.cli.demonstration.story import Story
from seawall.cli.demonstration.venue import Venue
from seawall.journal import verify
from seawall.node import Configuration

PAGE_BYTES: Final = 4096
BYTE: Final = 2_000
"""Offset in the page: somewhere in a command."""


def rot(story: Story, configuration: Configuration) -> None:
    """Flip, verify, open, verify."""
    story.act("A disk rots")
    folder = configuration.folders[1]
    file = sorted(folder.glob("*.seg"))[0]
    with file.open("r+b") as segment:
        used = sum(1 for page in iter(lambda: segment.read(PAGE_BYTES), b"") if any(page))
        page = used // 2
        segment.seek(page * PAGE_BYTES + BYTE)
        (value,) = segment.read(1)
        segment.seek(page * PAGE_BYTES + BYTE)
        segment.write(bytes([value ^ 0x10]))
    story.say(f"One bit of {file}, page {page} of {used}, is flipped.")
    found = verify(configuration.folders)
    for one in found.damage:
        story.say(
            f"seawall verify: {one.folder}, segment {one.segment}, page {one.page}, frame {one.frame}: {one.what}"
        )
    named = [(one.folder, one.segment, one.page) for one in found.damage] == [(folder, 0, page)]
    named = named and not found.ok and found.first_bad_frame == found.damage[0].frame > 0
    story.check("verify finds it and names folder, segment, page and frame", named)
    venue = Venue.start(configuration, life=4)
    repaired = [(one.folder, one.segment, one.page) for one in venue.node.recovery.repaired]
    story.check("opening the journal repaired just that page from the other copy", repaired == [(folder, 0, page)])
    venue.close(story)
    after = verify(configuration.folders)
    story.check(f"verify is clean again: {after.frames:,} frames, {after.commands:,} commands", after.ok)
    story.facts["digest"] = venue.node.fold.digest[1].hex()
    story.facts |= {"head": after.head_hash.hex(), "journal frames": after.frames, "journal commands": after.commands}
