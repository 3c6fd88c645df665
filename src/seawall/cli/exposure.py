"""`seawall exposure`: one view of what is held, across all venues and desks that run."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from seawall.cli.calling import Ca, Cert, CertKey, Door, DoorRefused, Where
from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

_PARTS: Final = ("delta", "gross", "bids", "asks")


def exposure(
    url: Annotated[
        list[str] | None,
        typer.Option(envvar="SEAWALL_OPS_URL", help="An operations door; again for each further one."),
    ] = None,
    token_file: Annotated[
        list[Path] | None, typer.Option(help="File with your token: one for all doors, or one for each in their order.")
    ] = None,
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
    as_json: Json = False,
) -> None:
    """Add up, by underlying, what the accounts behind every door hold and have open; say which door was not heard."""
    answer(as_json, lambda: _exposure(url or [], token_file or [], ca, cert, cert_key))


def _exposure(urls: list[str], tokens: list[Path], ca: Path | None, cert: Path | None, key: Path | None) -> Answer:
    if not urls:
        raise InputError("--url", "", "must name at least one operations door")
    if len(set(urls)) < len(urls):
        raise InputError("--url", urls, "must name each door once, or it would count twice")
    if len(tokens) not in (0, 1, len(urls)):
        raise InputError("--token-file", len(tokens), f"must be given once, or once for each of {len(urls)} doors")
    files: list[Path | None] = [*tokens] * (len(urls) if len(tokens) == 1 else 1) or [None] * len(urls)
    doors = [Door(Where(url, file, ca, cert, key)) for url, file in zip(urls, files, strict=True)]
    heard, missing, journals = {}, {}, dict[str, str]()
    for url, door in zip(urls, doors, strict=True):
        try:
            found = heard[url] = door.get("/exposure")
        except DoorRefused as error:
            missing[url] = str(error)
            continue
        if (other := journals.setdefault(found["venue"], url)) != url:  # another word for one address
            raise InputError("--url", url, f"must name each door once, or it would count twice: {other} is the same")
    document = {
        "ok": not missing, "underlyings": _sums(heard), "venues": heard, "missing": missing,
    }  # fmt: skip
    return Answer(document, "\n".join(_lines(document)), not missing)


def _sums(heard: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Coins by underlying over all doors, and dollars of the net delta at each door's own index."""
    sums: dict[str, dict[str, float]] = {}
    for found in heard.values():
        for name, row in found["underlyings"].items():
            whole = sums.setdefault(name, dict.fromkeys((*_PARTS, "delta_usd"), 0.0))
            for part in _PARTS:
                whole[part] += row[part]
            whole["delta_usd"] += row["delta"] * row["index_usd"]
    return dict(sorted(sums.items()))


def _lines(document: dict[str, Any]) -> list[str]:
    lines = []
    for name, whole in document["underlyings"].items():
        lines.append(f"{name}: {_words(whole)}; net {whole['delta_usd']:+,.0f} USD")
        for url, found in document["venues"].items():
            if (row := found["underlyings"].get(name)) is not None:
                lines.append(f"  {found['of'] or url}: {_words(row)}")
                lines += [f"    {account}: {_words(own)}" for account, own in row["accounts"].items()]
    for url, found in document["venues"].items():
        lines += [
            f"{account} at {found['of'] or url}: equity {money['equity']:,.2f} USD, initial margin"
            f" {money['initial']:,.2f}, maintenance {money['maintenance']:,.2f}"
            for account, money in found["accounts"].items()
        ]
    lines += [f"NOT HEARD, and not in the sums: {url}: {why}" for url, why in document["missing"].items()]
    return lines or ["nothing is held or open"]


def _words(row: dict[str, float]) -> str:
    return (
        f"delta {row['delta']:+,.6f}, gross {row['gross']:,.6f}; if its bids fill {row['bids']:+,.6f}, its asks"
        f" {row['asks']:+,.6f}"
    )
