"""`seawall status`: what stands, why, by whom, and what reopens it."""

from datetime import UTC, datetime
from typing import Any

from seawall.cli.calling import NOWHERE, Door, Where, at_door
from seawall.cli.output import Answer, Json, answer


@at_door
def status(
    where: Where = NOWHERE,
    as_json: Json = False,
) -> None:
    """Say what of a running venue is halted, why, by whom and since when, and what reopens it; and how it is."""
    answer(as_json, lambda: _status(where))


def _status(where: Where) -> Answer:
    found = Door(where).get("/status")
    ok = found["writer"] == "alive" and found.get("state") == "open"
    return Answer({"ok": ok, **found}, "\n".join(_lines(found)), ok)


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"venue {found['venue']} is {found.get('state', 'unknown').replace('_', '-').upper()}"]
    lines.append(f"writer {found['writer']}; {found['queue']:,} waiting, {found['sessions']:,} connections")
    if "seq" in found:
        took = found["commit_ms"]
        lines.append(
            f"journal: {found['seq']:,} commands in {found['frame']:,} frames, rules {found['rules']}"
            + (f" (seawall rules {newest}?)" if (newest := found["newest_rules"]) > found["rules"] else "")
            + (f"; a commit takes {took['p50']} ms (p50), {took['p99']} ms (p99)" if took else "")
        )
    for disk in found["disks"]:
        hours = f"{disk['hours']:,} hours left" if disk["hours"] is not None else "not growing, or not known yet"
        lines.append(f"disk {disk['folder']}: {disk['free'] / 2**30:,.1f} GiB free, {hours}")
    lines += [_price(row) for row in found.get("prices", [])]
    lines += _margin(found.get("margin"))
    lines += _upstream(found.get("upstream"))
    for row in found["restricted"]:
        name = f"{row['scope']} {row['name']}".strip()
        by = f" by {row['by']}" if row["by"] else ""
        since = f" since {moment(row['since'])}" if row["since"] else ""
        lines.append(
            f"{name} is {row['state'].replace('_', '-').upper()}{since}{by}: {row['reason'] or 'no reason known'}"
        )
        lines.append(f"    reopened by {row['reopens']}")
    if not found["restricted"]:
        lines.append("nothing is halted")
    lines += [f"override of {one['of']} ends at {moment(one['until'])}" for one in found["overrides"]]
    lines += [f"proposal {id_} waits for signatures: seawall approve {id_}" for id_ in found["proposals"]]
    raised = [f"{kind} {count:,}" for kind, count in found["alerts"].items() if count]
    lines.append(f"alerts since the start: {', '.join(raised) or 'none'}")
    lines.append(f"break-glass key: {found['approvals']['break_glass']}")
    return lines


def _price(row: dict[str, Any]) -> str:
    published = f"published {moment(row['published'])}" if row["published"] else "NOT PUBLISHED"
    depth = f", depth {row['depth']:,.0f} dollars" if row["depth"] is not None else ""
    return f"prices of {row['coin']}: index {row['index']:,}{depth}, reported {moment(row['reported'])}, {published}"


def _margin(margin: dict[str, Any] | None) -> list[str]:
    if margin is None or not margin["in_force"]:
        return []
    lines = [f"margin parameters: version {margin['in_force']} since {moment(margin['since'])}"]
    for row in margin["waiting"]:
        when = f", takes effect {moment(row['effective'])}" if row["effective"] else ""
        lines.append(f"    version {row['version']} is {row['state']}{when}")
    return lines


def _upstream(desk: dict[str, Any] | None) -> list[str]:
    """Of desk mode: what is known of the venue behind."""
    if desk is None:
        return []
    lines = [f"orders go to {desk['url']}, {desk['mode']}" + (f"; {desk['failed']}" if desk["failed"] else "")]
    for row in desk["accounts"]:
        seen = "seen" if row["seen"] else f"NOT SEEN: {row['why']}"
        when = f"compared {moment(row['compared'])}" if row["compared"] else "not compared yet"
        lines.append(
            f"account {row['name']}: {seen}; {row['open']:,} orders open there, {row['unknown']:,} unknown; {when}"
        )
        for about, facts in row["breaks"].items():
            lines.append(f"    {about}: theirs {facts['theirs']:,}, ours {facts['ours']:,} {facts['unit']}")
    return lines


def moment(milliseconds: int) -> str:
    """A time, UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
