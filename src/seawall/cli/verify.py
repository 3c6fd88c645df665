"""`seawall verify`: the chain and both copies of a journal, page by page."""

from typing import Any

from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from


def verify(data: Data = None, mirror: Mirror = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Check the hash chain and both copies of a journal; name what is damaged. Nothing is written."""
    answer(as_json, lambda: _verify(data, mirror, config))


def _verify(data: Data, mirror: Mirror, config: ConfigFile) -> Answer:
    from seawall.journal import verify as check

    found = check(folders_from(data, mirror, config).folders)
    damage: list[dict[str, Any]] = [
        {
            "folder": str(one.folder),
            "segment": one.segment,
            "page": one.page,
            "frame": one.frame,
            "what": one.what,
            "cut": one.cut,
        }
        for one in found.damage
    ]
    document = {
        "ok": found.ok,
        "repairable": found.repairable,
        "first_bad_frame": found.first_bad_frame,
        "frames": found.frames,
        "commands": found.commands,
        "head": found.head_hash.hex(),
        "damage": damage,
        "corrupt": found.corrupt,
    }
    lines = [f"{found.frames:,} frames, {found.commands:,} commands, head {found.head_hash.hex()}"]
    lines += [
        f"{one['folder']}: segment {one['segment']}, page {one['page']}, frame {one['frame']}: {one['what']}"
        for one in damage
    ]
    if found.corrupt:
        lines.append(f"corrupt: {found.corrupt}")
    elif damage:
        lines.append("opening the journal puts this right from the other copy")
    lines.append("both copies are sound" if found.ok else f"first bad frame: {found.first_bad_frame}")
    return Answer(document, "\n".join(lines), found.ok)
