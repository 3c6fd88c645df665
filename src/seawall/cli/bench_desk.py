"""The desk's rows: a dev venue and a desk before it in processes of their own, clients in this one, over loopback.

What a desk adds is the difference between two measurements taken alternately: through it, and at the venue by accounts
that no desk watches. Both pay for the venue's own journal, so what is left is the desk's.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Final

from seawall.cli.bench_clients import (
    CANCEL_ALL,
    Process,
    bid,
    load,
    need_client,
    percentile,
    serving,
    sync_times,
    timed,
)
from seawall.cli.bench_rows import Row, at_least, at_most

BLOCKS, EACH = 20, 60
CONNECTIONS, IN_FLIGHT, LOAD, ROUNDS = 8, 32, 300, 5
SEED: Final = 1


def desk_rows() -> list[Row]:
    """Every figure of desk mode."""
    need_client("desk")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for mode in ("observe", "enforce"):
            folder = Path(name) / mode
            folder.mkdir()
            with serving(folder / "venue") as venue:
                keys = _keys(venue, folder / "keys.toml")
                options = ("--upstream", venue.ready["http"], f"--{mode}", "--upstream-keys", str(keys))
                with serving(folder / "desk", *options) as desk:
                    rows += asyncio.run(_latency(venue, desk, mode, folder / "page"))
                    rows.append(asyncio.run(_throughput(venue, desk, mode)))
    rows.append(_false_refusals())
    return rows


def _keys(venue: Process, file: Path) -> Path:
    """Half of the venue's accounts become the desk's; the others stay to be measured beside it."""
    given, venue.accounts = venue.accounts[:2], venue.accounts[2:]
    rows = [f'[{row["name"]}]\nkey = "{row["key"]}"\nsecret = "{row["secret"]}"\n' for row in given]
    file.touch(0o600)
    file.write_text("".join(rows))
    return file


async def _latency(venue: Process, desk: Process, mode: str, page: Path) -> list[Row]:
    """One client waiting for each answer, in blocks at the venue and through the desk."""
    import aiohttp

    direct: list[float] = []
    through: list[float] = []
    syncs: list[float] = []
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(venue.ready["ws"], headers=venue.headers(0)) as near,
        client.ws_connect(desk.ready["ws"], headers=desk.headers(0)) as far,
    ):
        for block in range(BLOCKS):
            syncs += sync_times(page, EACH)
            for socket, times in ((near, direct), (far, through))[:: 1 if block % 2 else -1]:
                times += [await timed(socket, bid(number)) for number in range(EACH)]
                await timed(socket, CANCEL_ALL)
    low, high = (1e3 * (percentile(through, part) - percentile(direct, part)) for part in (0.5, 0.99))
    sync = 1e3 * statistics.median(syncs)
    against = (
        f"{BLOCKS * EACH:,} orders each way, one at a time, in alternate blocks of {EACH}; direct"
        f" {1e3 * percentile(direct, 0.5):.2f} ms, p99 {1e3 * percentile(direct, 0.99):.2f} ms; through the desk"
        f" {1e3 * percentile(through, 0.5):.2f} ms, p99 {1e3 * percentile(through, 0.99):.2f} ms"
    )
    if mode == "observe":
        return [
            at_most("desk: latency added, observe, p50", low, "ms", 0.5, against),
            at_most("desk: latency added, observe, p99", high, "ms", 3, against),
        ]
    against += f"; added p99 {high:.2f} ms; asked: 2 x the fdatasync p50 of one page, {sync:.3f} ms, + 1 ms"
    return [at_most("desk: latency added, enforce, durable, p50", low, "ms", 2 * sync + 1, against)]


async def _throughput(venue: Process, desk: Process, mode: str) -> Row:
    """Many orders in flight, at the venue and through the desk in turn."""
    import aiohttp

    speeds = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        for _ in range(ROUNDS):
            direct = await load(client, venue.ready["ws"], venue, CONNECTIONS, IN_FLIGHT, LOAD)
            through = await load(client, desk.ready["ws"], desk, CONNECTIONS, IN_FLIGHT, LOAD)
            speeds.append((through, direct))
    ratios = [through / direct for through, direct in speeds]
    through, direct = (statistics.median(column) for column in zip(*speeds, strict=True))
    against = (
        f"{CONNECTIONS} sockets, {IN_FLIGHT} in flight on each, {LOAD} orders each: {through:,.0f}/s through the desk,"
        f" {direct:,.0f}/s by the same client at the venue; median of {ROUNDS} alternate rounds, {min(ratios):.2f} to"
        f" {max(ratios):.2f}"
    )
    return at_least(f"desk: orders through it / direct, {mode}", statistics.median(ratios), "ratio", 0.6, against)


def _false_refusals() -> Row:
    """A week of four ordinary bots; an order that the engine wanted back counts as refused."""
    from seawall.cli.bench_ordinary import LIMITS, Week
    from seawall.engine.kernels import load as load_kernels

    load_kernels()
    week = Week(SEED).run()
    orders, edits = week.asked["ORDER"], week.asked["EDIT"]
    against = (
        f"{orders:,} orders and {edits:,} edits of four bots in a simulated week (seed {SEED}),"
        f" {week.executions:,} executions; {LIMITS}"
    )
    if week.refused:
        against += "; refused: " + ", ".join(f"{count} {what}" for what, count in sorted(week.refused.items()))
    return at_most("desk: false refusals", float(week.refused.total() + week.wanted), "orders", 0, against)
