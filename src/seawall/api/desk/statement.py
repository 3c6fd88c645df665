"""An account's money: what was taken over at first, what the venue's transaction log says since, and what is left over.

Executions and their fees come by the drop copy. All else that moves a balance is read from the log: deposits,
withdrawals and funding are booked as they are; a settlement moves gains into the balance, which the shadow keeps beside
its positions instead, so it is counted in `settled`. Then, to the atom,

    the venue's balance  =  the balances of the bots  +  settled  +  base

where `base` is what the two differed by when the account was taken over. When a future is delivered the shadow has all
that it ever gained, so what settlements moved of it is counted no more. The shadow delivers at whole ticks: what a
delivery price between two of them makes of a difference goes to `base`, and no more than that.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from seawall.api.commands import packed
from seawall.api.ledger import DELIVERY
from seawall.engine import formulas
from seawall.node.node import Group
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.records import BUY, SELL, Kind

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk
    from seawall.venues.connection import Connection

PAGE: Final = 100
LOG_S: Final = 10.0
"""How old what was read of the log may be while all adds up; a venue counts a look at it as many other questions."""

_EVER: Final = {"start_timestamp": 0, "end_timestamp": 2**53}
_ATOMS: Final = 2
"""That a bot's delivery and the venue's may differ by from rounding alone."""


class Taken(msgspec.Struct, tag_field="note", tag="statement"):
    """What is journalled of a statement: an account's, per currency `base` and `settled` in atoms, `read` the last id
    of the log; executions before `since` (milliseconds) are booked or part of what was taken over. By name, `beside`:
    the part of `settled` of each future that will be delivered; `paid`: what the venue paid at a delivery that is not
    made here yet; `broken`: by how much the breaks that people were told of are off, as long as they stand. Executions
    before `began` were taken over and are never booked."""

    account: str
    base: dict[str, int]
    settled: dict[str, int]
    read: dict[str, int]
    since: int = 0
    beside: dict[str, int] = {}
    paid: dict[str, int] = {}
    broken: dict[str, int] = {}
    began: int = 0


def taken_of(group: Group) -> Iterator[Taken]:
    """What a frame of the journal says of statements."""
    offset = 0
    for kind, size in zip(group.commands["kind"].tolist(), group.commands["attachment"].tolist(), strict=True):
        data = group.attachments[offset : offset + size]
        offset += size
        if kind == Kind.TIME and b'"statement"' in data:
            yield msgspec.json.decode(data, type=Taken)


class Statement:
    """One account's."""

    def __init__(self, desk: "Desk", name: str) -> None:
        self._desk, self._name = desk, name
        self.since = 0
        """Of what is about to be taken over."""
        self.taken: Taken | None = None
        self._read_at = -LOG_S

    @property
    def due(self) -> bool:
        """Whether the log is to be read again even if all adds up."""
        return time.monotonic() - self._read_at >= LOG_S

    def stale(self) -> None:
        """Something differs that the log may explain."""
        self._read_at = -LOG_S

    def _note(self, taken: Taken) -> tuple[bytes, bytes]:
        data = msgspec.json.encode(taken)
        return packed(Kind.TIME, attachment=len(data)), data

    # -- taking over ---------------------------------------------------------------------------------------------------

    async def adopt(
        self, venue: "Connection", held: dict[str, int], summaries: Iterable[dict[str, Any]], gains: dict[str, float]
    ) -> None:
        """Take over what the account has: its equity as deposits, its positions at today's marks; one request.

        `gains` by instrument since the venue's last settlement.
        """
        desk = self._desk
        records: list[bytes] = []
        base: dict[str, int] = {}
        read: dict[str, int] = {}
        shares = desk.shares(self._name)
        for row in summaries:
            currency = desk.currency(row["currency"])
            if currency is None:
                continue
            equity, balance = desk.atoms(row["equity"], row["currency"]), desk.atoms(row["balance"], row["currency"])
            given, deposits = self._given(currency, equity)
            records += deposits
            base[row["currency"]] = balance - given
            read[row["currency"]] = await _latest(venue, row["currency"])
        first = shares[0][0]
        for name, lots in held.items():
            listing = desk.view.by_name[name]
            mark = desk.view.marks[listing.number]
            side = BUY if lots > 0 else SELL
            records.append(
                packed(Kind.BOOKED, account=first, instrument=listing.number, side=side, price=mark, quantity=abs(lots))
            )
            if listing.spec.product == Product.OPTION:  # a premium is paid out of the balance
                base[listing.settlement] += lots * mark * listing.spec.multiplier
        settled, beside = dict.fromkeys(base, 0), {}
        for name, lots in held.items():
            paid_in = self._delivered_in(name)
            if paid_in in base:  # the venue is yet to pay what was gained so far, and the bots have it already
                gained = desk.atoms(gains.get(name, 0.0), paid_in) - self._rounded(name, lots)
                base[paid_in] += gained
                settled[paid_in] -= gained
                beside[name] = -gained
        self.taken = Taken(self._name, base, settled, read, self.since, beside, began=self.since)
        record, note = self._note(self.taken)
        await desk.write(record + b"".join(records), note)

    async def take_in(self, venue: "Connection", summaries: Iterable[dict[str, Any]]) -> bool:
        """Take over the money in currencies that nothing listed settled in before; whether there were any.

        What is held in them is no part of it: it came with executions, or it is a break.
        """
        assert self.taken is not None
        desk, taken, records = self._desk, self.taken, list[bytes]()
        base, settled, read = dict(taken.base), dict(taken.settled), dict(taken.read)
        for row in summaries:
            name, currency = row["currency"], desk.currency(row["currency"])
            if currency is None or name in taken.base:
                continue
            left = desk.atoms(row["balance"], name) - self._balance(currency)
            given, deposits = self._given(currency, left)
            records += deposits
            base[name], settled[name] = left - given, 0
            read[name] = await _latest(venue, name)
        if base == taken.base:
            return False
        self.taken = msgspec.structs.replace(taken, base=base, settled=settled, read=read)
        record, note = self._note(self.taken)
        await desk.write(record + b"".join(records), note)
        return True

    def _given(self, currency: int, atoms: int) -> tuple[int, list[bytes]]:
        """Deposits of the bots' shares of money, and their sum: nobody is given what is owed."""
        shares = self._desk.shares(self._name)
        parts = zip(shares, _parts(atoms, [share for _, share in shares]), strict=True)
        given = [(account, part) for (account, _), part in parts if part > 0]
        deposits = [packed(Kind.DEPOSIT, account=to, currency=currency, amount=part) for to, part in given]
        return sum(part for _, part in given), deposits

    def _balance(self, currency: int) -> int:
        """Atoms that the bots have together."""
        accounts = self._desk.accounts_at(self._name)
        return sum(self._desk.view.ledger.of(account).balance.get(currency, 0) for account in accounts)

    # -- the log -------------------------------------------------------------------------------------------------------

    async def read(self, venue: "Connection") -> None:
        """Book what the log has that was not read yet."""
        assert self.taken is not None
        desk, taken = self._desk, self.taken
        records: list[bytes] = []
        settled, read, beside, paid = (dict(of) for of in (taken.settled, taken.read, taken.beside, taken.paid))
        for currency in taken.base:
            for entry in await self._entries(venue, currency, read[currency]):
                read[currency] = max(read[currency], entry["id"])
                kind, change = entry["type"], desk.atoms(entry["change"], currency)
                name = entry.get("instrument_name") or ""
                if kind == "trade" or not change:  # told by executions
                    continue
                if kind == "delivery":
                    if name in desk.view.by_name:
                        settled[currency] += change
                        paid[name] = paid.get(name, 0) + change
                    continue
                if kind == "settlement":
                    funding = desk.atoms(entry.get("interest_pl") or 0.0, currency)
                    if self._delivered_in(name):
                        beside[name] = beside.get(name, 0) + change - funding
                    settled[currency] += change - funding
                    change = funding
                records += self._booked(currency, change, name)
        base = dict(taken.base)
        for name in [name for name in {**beside, **paid} if self._over(name)]:
            gained, lots, most = self._gained(name)
            if name in paid or not lots:
                theirs = beside.pop(name, 0) + paid.pop(name, 0)
                currency = desk.view.by_name[name].settlement
                settled[currency] -= theirs
                if abs(theirs - gained) <= most:
                    base[currency] += theirs - gained
        self._read_at = time.monotonic()
        if (read, beside, paid) == (taken.read, taken.beside, taken.paid):
            return
        self.taken = msgspec.structs.replace(
            taken, base=base, settled=settled, read=read, since=max(taken.since, self.since), beside=beside, paid=paid
        )
        record, note = self._note(self.taken)
        await desk.write(record + b"".join(records), note)

    async def keep_broken(self, broken: dict[str, int]) -> None:
        """Journal which breaks people were told of, so that a restart tells, and restricts for, no old one again."""
        assert self.taken is not None
        if broken != self.taken.broken:
            self.taken = msgspec.structs.replace(self.taken, broken=broken)
            await self._desk.write(*self._note(self.taken))

    def _gained(self, name: str) -> tuple[int, int, int]:
        """Atoms and lots of the bots' deliveries, and by how much the venue's may differ: half a tick, and rounding."""
        listing = self._desk.view.by_name[name]
        atoms = lots = most = 0
        for account in self._desk.accounts_at(self._name):
            for entry in self._desk.view.ledger.of(account).settlements:
                if entry.instrument == listing.number and entry.type == DELIVERY:
                    ticks = (max(1, entry.price - 1), entry.price, entry.price + 1)
                    low, at, high = (formulas.delivered_value(listing.spec, entry.position, price) for price in ticks)
                    most += max(abs(at - low), abs(high - at)) // 2 + _ATOMS
                    atoms, lots = atoms + entry.change, lots + abs(entry.position)
        return atoms, lots, most

    def _delivered_in(self, name: str) -> str:
        """The currency that a future settles in which will be delivered, or was; nothing for all else."""
        listing = self._desk.view.by_name.get(name)
        return listing.settlement if listing is not None and listing.spec.product == Product.FUTURE else ""

    def _rounded(self, name: str, lots: int) -> int:
        """Atoms that a position loses to rounding when it is booked at its mark."""
        listing = self._desk.view.by_name[name]
        mark = self._desk.view.marks[listing.number]
        return formulas.gain_at_limit(listing.spec, BUY if lots > 0 else SELL, abs(lots), mark, mark)

    def _over(self, name: str) -> bool:
        """Whether it was delivered here."""
        return self._desk.view.by_name[name].expired

    async def _entries(self, venue: "Connection", currency: str, after: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: Any = None
        while True:
            asked = {"continuation": more} if more else {}
            page = await venue.ask("private/get_transaction_log", currency=currency, count=PAGE, **_EVER, **asked)
            found += [entry for entry in page["logs"] if entry["id"] > after]
            more = page.get("continuation")
            if not more or not page["logs"] or page["logs"][-1]["id"] <= after:
                return found[::-1]

    def _booked(self, currency: str, change: int, instrument: str) -> list[bytes]:
        """Commands that give the bots what an entry gave the account: by position, or by share."""
        desk, accounts = self._desk, self._desk.shares(self._name)
        if not change:
            return []
        listing = desk.view.by_name.get(instrument) or desk.any_listing(currency)
        if listing is None:
            return []
        weights = [share for _, share in accounts]
        if instrument:
            held = [abs(desk.view.positions.get((account, listing.number), 0)) for account, _ in accounts]
            weights = [float(lots) for lots in held] if any(held) else weights
        return [
            packed(Kind.BOOKED, account=account, instrument=listing.number, amount=-part)
            for (account, _), part in zip(accounts, _parts(change, weights), strict=True)
            if part
        ]

    # -- comparing -----------------------------------------------------------------------------------------------------

    def differences(self, held: dict[str, int], summaries: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """What the venue says and we do not, by instrument and currency: theirs and ours, lots and atoms."""
        assert self.taken is not None
        desk, found = self._desk, {}
        accounts = desk.accounts_at(self._name)
        ours: dict[str, int] = {}
        for (account, number), lots in desk.view.positions.items():
            if account in accounts and lots:
                name = desk.view.listings[number].name
                ours[name] = ours.get(name, 0) + lots
        for name in {*held, *ours}:
            if held.get(name, 0) != ours.get(name, 0):
                found[name] = {"theirs": held.get(name, 0), "ours": ours.get(name, 0), "unit": "lots"}
        for row in summaries:
            name, currency = row["currency"], desk.currency(row["currency"])
            if currency is None or name not in self.taken.base:
                continue
            balance = self._balance(currency) + self.taken.settled[name] + self.taken.base[name]
            for moved in (self.taken.beside, self.taken.paid):
                balance -= sum(
                    atoms
                    for each, atoms in moved.items()
                    if self._over(each) and desk.view.by_name[each].settlement == name
                )
            theirs = desk.atoms(row["balance"], name)
            if balance != theirs:
                found[name] = {"theirs": theirs, "ours": balance, "unit": "atoms"}
        return found


async def _latest(venue: "Connection", currency: str) -> int:
    """Id of the last entry of the log."""
    log = await venue.ask("private/get_transaction_log", currency=currency, count=1, **_EVER)
    return log["logs"][0]["id"] if log["logs"] else 0


def _parts(whole: int, weights: list[float]) -> list[int]:
    """Whole atoms by weight; what does not divide goes to the first."""
    total = sum(weights) or 1.0
    parts = [int(whole * weight / total) for weight in weights]
    parts[0] += whole - sum(parts)
    return parts
