"""A desk in front of a dev venue, two processes; to a client it looks as the venue does."""

import contextlib

from dev_venue import DevVenue, orderly

MODES = ("direct", "observe", "enforce")


def write_keys(venue, file):
    """The venue's keys as a desk is given them."""
    rows = [f'[{name}]\nkey = "{row["key"]}"\nsecret = "{row["secret"]}"\n' for name, row in venue.accounts.items()]
    file.touch(0o600)
    file.write_text("".join(rows))
    return file


class DeskVenue(DevVenue):
    """`seawall serve --dev --upstream`; the keys are told it once only."""

    def __init__(self, data, url, mode, keys=None, *options):
        given = ["--upstream-keys", keys] if keys is not None else []
        super().__init__(data, "--upstream", url, f"--{mode}", *given, *options)


@contextlib.contextmanager
def desk_venue(folder, mode, *options, market="none"):
    """A dev venue, and where `mode` is not direct a desk before it; both must end in order, without a traceback."""
    with orderly(folder / "venue", *options, market=market) as venue:
        if mode == "direct":
            yield venue
            return
        desk = DeskVenue(folder / "desk", venue.ready["http"], mode, write_keys(venue, folder / "keys.toml"))
        desk.behind = venue
        try:
            yield desk
            assert desk.stop() == 0
            log = desk.log.read_text()
            assert "Traceback" not in log
            assert "alert=break" not in log, log
        finally:
            if desk.process.poll() is None:
                desk.kill()
