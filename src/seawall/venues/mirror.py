"""A venue elsewhere as commands: its catalogue, index prices and marks, so that our engine keeps shadow accounts of it.

`opening` once, then `step` about once a second with the quotes of the time, and `listed` whenever the venue's catalogue
was asked again. No clock and no network: all times and objects are given. One batch at a time: the events of a batch
are to be observed before the next. What `recall` learns from a journal is all there is to know but for quotes that came
after the last publication: notes "quotes" tell the forwards and volatilities it was made of, which its marks do not.

What is published. A block is published whole, when one of its instruments has a fresh quote, every PUBLISH_NS or sooner
after a move; the others keep their last mark and are `stale`. A block without any fresh quote is not published again,
so that a control of stale prices (C17) sees its age. A quote that leaps is taken only when a later one says the same.

Past expiry. The engine wants every instrument of a block that it was not told to EXPIRE, and the margin models want
none that expired. So until its delivery price is known, an instrument is published at its last mark as if it expired in
a moment; the gate takes no order in it by then.

A mark outside an instrument's band is published at the band's end, and the instrument is halted: executions beyond the
band could not be told to the engine. People may open it again once the mark is back. One whose tick or lot the venue
has made finer only reduces, since neither can be changed once listed.

Fees. An EXECUTED command says what the venue charged; the one tier is what the gate reserves, the dearest rates listed.
A rate of the engine is of the premium, a venue's of the underlying: options reserve the most there is, 1.6384 %.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import numpy as np

from seawall.engine import formulas
from seawall.risk.cadence import Cadence
from seawall.risk.market import BlockMarket, CurrencyMarket, InstrumentMarket, MarketView
from seawall.risk.models import MarginModel
from seawall.sim.market import Batch, Speaker
from seawall.venues.contracts import DOLLARS, NARROWEST, Offer, Terms, atoms_decimals
from seawall.venues.quotes import Quote, leaps
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.numbers import exact
from seawall.vocabulary.publication import largest_open_position
from seawall.vocabulary.records import (
    GROUPS,
    SYSTEM_ACCOUNTS,
    Commands,
    EventKind,
    Events,
    Kind,
    Role,
    Scope,
    VenueState,
)

STALE_MS: Final = 30_000
"""A quote older than this is no quote."""

CADENCE: Final = Cadence()
PUBLISH_NS: Final = CADENCE.due_ns(moved=False)
PUBLISH_LEAST_NS: Final = CADENCE.due_ns(moved=True)

TIER: Final = 0
_TELLING: Final = np.zeros(256, bool)
_TELLING[[Kind.CURRENCY, Kind.INSTRUMENT, Kind.ACCOUNT, Kind.TIER, Kind.PUBLISH, Kind.STATE]] = True
_TELLING[[Kind.TIME, Kind.INDEX, Kind.EXPIRE]] = True


@dataclass(frozen=True, slots=True)
class Shadow:
    """A client account to keep, by its name, and the groups (DESK, FIRM, OWNER) it belongs to, by theirs."""

    name: str
    groups: Mapping[Role, str] = field(default_factory=dict)


class Mirror(Speaker):
    """One venue, mirrored.

    by_name      numbers of all instruments ever listed, by name
    contracts    what they are, by number; `live` without those delivered
    money        settlement currencies: number and decimals of an atom, by name
    accounts     client accounts by name; `groups` those of desks, firms and owners; `upstream` the venue's own
    quotes       the last quote taken, by instrument number
    left_out     instruments of the venue not listed here, or reducing only for their terms, and why
    contract_sizes  as the venue has them now, by name; a listing keeps that of its first day
    stale        of the last step: names that keep their last mark, and why
    undelivered  expired names that the engine was not told to expire, and why
    """

    def __init__(self, model: MarginModel, haircut: float, markup: float, underlyings: Collection[str]) -> None:
        """`haircut` and `markup` are of coins, as in `CurrencyMarket`; `underlyings` those the model knows."""
        super().__init__()
        self.by_name: dict[str, int] = {}
        self.contracts: dict[int, Terms] = {}
        self.live: dict[int, Terms] = {}
        self.money: dict[str, tuple[int, int]] = {}
        self.accounts: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self.upstream = -1
        self.version = 0
        self.quotes: dict[int, Quote] = {}
        self.left_out: dict[str, str] = {}
        self.contract_sizes: dict[str, float] = {}
        self.stale: dict[str, str] = {}
        self.undelivered: dict[str, str] = {}
        self._model, self._haircut, self._markup = model, haircut, markup
        self._underlyings = frozenset(underlyings)
        self._decimals: dict[str, int] = {}  # of currencies the venue named, defined here or not
        self._now = 0
        self._specs: dict[int, Instrument] = {}  # without their note yet
        self._blocks: dict[tuple[str, str], int] = {}  # of an underlying and a settlement currency
        self._roles: dict[int, int] = {}
        self._rates: dict[int, tuple[int, int]] = {}  # maker and taker by fee class, millionths
        self._told: dict[int, int] = {}  # index prices, ticks
        self._published: dict[int, Quote] = {}
        self._published_at: dict[int, int] = {}  # by block
        self._unpublished: dict[int, Quote] = {}  # noted, their publication to come
        self._fresh: set[int] = set()  # taken since their block's last publication
        self._doubted: dict[int, Quote] = {}
        self._halted: set[int] = set()
        self._steps: dict[str, tuple[Any, ...]] = {}  # of ticks and amounts, as the venue said them last

    def adopt(self, known: dict[str, Any]) -> None:
        """Know what another one's `known` was; how marks and margins are made stays one's own."""
        self.__dict__.update(known)

    @property
    def known(self) -> dict[str, Any]:
        """All that `recall` learned, and no more."""
        own = ("_model", "_haircut", "_markup", "_underlyings")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    @property
    def opened(self) -> bool:
        """Whether a publication was observed or recalled."""
        return self.version > 0

    def opening(
        self,
        now_ns: int,
        currencies: Sequence[Mapping[str, Any]],
        instruments: Iterable[Mapping[str, Any]],
        quotes: Mapping[str, Quote],
        accounts: Sequence[Shadow],
    ) -> Batch:
        """All commands of a new journal, `RULES` apart: money, accounts, instruments, index prices, a publication.

        `currencies` and `instruments` as `get_currencies` and `get_instruments` give them. What cannot be listed is in
        `left_out`. Raises InputError for accounts or groups named twice.
        """
        _check_names(accounts)
        self._now = now_ns
        for fee_class in range(bounds.FEE_CLASSES):
            self._tier(fee_class, 0, 0)
        self._account("upstream", Role.UPSTREAM)
        for shadow in accounts:
            self._account(shadow.name, Role.CLIENT)
        for shadow in accounts:
            for role, name in shadow.groups.items():
                if name not in self.groups:
                    self._account(name, role)
                self._add(Kind.MEMBER, account=self.accounts[shadow.name], order_id=self.groups[name])
        self._name_money(currencies)
        self._list(instruments, quotes)
        if self.live:
            self._publish(set(self._blocks.values()))
        return self._take()

    def listed(
        self,
        now_ns: int,
        instruments: Iterable[Mapping[str, Any]],
        quotes: Mapping[str, Quote],
        currencies: Sequence[Mapping[str, Any]] = (),
    ) -> Batch:
        """List what is not listed yet; the next step publishes it. `currencies` where one may be new."""
        self._now = max(now_ns, self._now)
        self._name_money(currencies)
        self._list(instruments, quotes)
        return self._take()

    def step(self, now_ns: int, quotes: Mapping[str, Quote], delivered: Mapping[str, float] | None = None) -> Batch:
        """What happened since the step before (going back counts as now): deliveries, index prices, a publication.

        `delivered`: delivery prices in dollars by instrument name, of those that expired.
        """
        self._now = max(now_ns, self._now)
        self._deliver(delivered or {})
        self._hear(quotes)
        due = self._due()
        for number, terms in self.live.items():
            if terms.option or self._expired(terms):
                continue
            again = number in self._fresh and terms.spec.block in due
            if again or self._index_ticks(number) != self._told.get(number):
                self._tell_index(number)
        if due:
            self._publish(due)
        return self._take()

    def observe(self, events: Events) -> None:
        """Learn the version of the last publication taken."""
        published = events[events["kind"] == EventKind.PUBLISHED]
        if len(published):
            self.version = int(published["a"][-1])

    def recall(self, commands: Commands, attachments: bytes, events: Events) -> None:
        """Learn from a journalled frame and its events, in order from the first, what one's predecessor knew."""
        ends = np.cumsum(commands["attachment"])
        refused = set(events["seq"][events["kind"] == EventKind.REFUSED].tolist())
        for position in np.flatnonzero(_TELLING[commands["kind"]]):
            record = commands[position]
            if int(record["seq"]) not in refused:
                end = int(ends[position])
                self._remember(record, attachments[end - int(record["attachment"]) : end], int(record["time"]))
        if len(commands):
            self._now = max(self._now, int(commands["time"].max()))
        self.observe(events)

    # -- what a command means: the same when it is sent and when it is recalled ----------------------------------------

    def _add(self, kind: Kind, attachment: bytes = b"", **fields: Any) -> None:
        super()._add(kind, attachment, **fields)
        if _TELLING[kind]:
            self._remember(self._parts[-1][0], attachment, self._now)

    def _remember(self, record: Any, attachment: bytes, time: int) -> None:
        kind, number = int(record["kind"]), int(record["instrument"])
        if kind == Kind.INSTRUMENT:
            self._specs[number] = Instrument.decode(attachment)
        elif kind == Kind.ACCOUNT:
            self._roles[int(record["account"])] = int(record["type"])
        elif kind == Kind.TIER and int(record["tier"]) == TIER:
            self._rates[int(record["currency"])] = (int(record["price"]), int(record["amount"]))
        elif kind == Kind.TIME and attachment:
            self._remember_note(attachment)
        elif kind == Kind.INDEX:
            self._told[number] = int(record["price"])
        elif kind == Kind.PUBLISH:
            self._published |= self._unpublished
            self._published_at |= {self.contracts[each].spec.block: time for each in self._unpublished}
            self._unpublished = {}
        elif kind == Kind.STATE and record["type"] == Scope.INSTRUMENT:
            (self._halted.add if record["state"] == VenueState.HALTED else self._halted.discard)(number)
        elif kind == Kind.EXPIRE:
            self.live.pop(number, None)

    def _remember_note(self, attachment: bytes) -> None:
        try:
            note = msgspec.json.decode(attachment)
        except ValueError:  # not one of ours
            return
        kind = note.get("note") if isinstance(note, dict) else None
        if kind == "currency":
            self.money[note["name"]] = (note["currency"], note["decimals"])
        elif kind == "account":
            self._name_account(note["name"], note["account"])
        elif kind == "listing" and note["instrument"] in self._specs:
            number = note["instrument"]
            terms = Terms.of(self._specs.pop(number), note)
            self.by_name[terms.spec.name] = number
            self.contracts[number] = self.live[number] = terms
            self._blocks[terms.underlying, terms.settlement] = terms.spec.block
        elif kind == "quotes":
            noted = {number: msgspec.convert(row, Quote) for number, *row in note["of"]}
            self.quotes |= noted
            self._unpublished |= noted

    def _name_account(self, name: str, account: int) -> None:
        role = self._roles.get(account)
        if role == Role.UPSTREAM:
            self.upstream = account
        elif role is not None:
            (self.accounts if role == Role.CLIENT else self.groups)[name] = account

    # -- the catalogue -------------------------------------------------------------------------------------------------

    def _note(self, note: dict[str, Any]) -> None:
        self._add(Kind.TIME, msgspec.json.encode(note))

    def _account(self, name: str, role: Role) -> None:
        number = SYSTEM_ACCOUNTS + len(self._roles)
        self._add(Kind.ACCOUNT, account=number, tier=TIER, type=role)
        self._note({"note": "account", "account": number, "name": name})

    def _tier(self, fee_class: int, maker: int, taker: int) -> None:
        self._add(Kind.TIER, tier=TIER, currency=fee_class, price=maker, amount=taker)

    def _name_money(self, currencies: Sequence[Mapping[str, Any]]) -> None:
        for currency in currencies:
            name, decimals = currency.get("currency"), currency.get("decimals")
            if isinstance(name, str) and isinstance(decimals, int):
                self._decimals[name] = decimals

    def _list(self, instruments: Iterable[Mapping[str, Any]], quotes: Mapping[str, Quote]) -> None:
        for instrument in instruments:
            name = str(instrument.get("instrument_name"))
            if name in self.by_name:
                self._look_again(name, instrument)
                continue
            try:
                self._list_one(Offer.of(instrument), quotes.get(name))
            except InputError as error:
                self.left_out[name] = str(error)
            else:
                self.left_out.pop(name, None)
        new = [number for number in self.live if number not in self._published and number not in self._unpublished]
        if new:
            self._note_quotes(new)

    def _look_again(self, name: str, instrument: Mapping[str, Any]) -> None:
        """Only reduce in what has a finer tick or lot than it was listed with: what is done there cannot be told."""
        steps = tuple(instrument.get(field) for field in ("tick_size", "min_trade_amount", "contract_size"))
        if steps == self._steps.get(name):
            return
        self._steps[name], number = steps, self.by_name[name]
        terms = self.contracts[number]
        try:
            tick, *lots = (exact("steps", step) for step in steps)
        except InputError:
            return  # no numbers; its quotes will say
        self.contract_sizes[name] = float(lots[-1])
        finer = tick % terms.tick or min(lots) % terms.lot
        if finer and number in self.live and number not in self._halted:
            self.left_out[name] = f"its tick, smallest amount and contract are {steps} now: reducing only"
            self._add(Kind.STATE, instrument=number, state=VenueState.REDUCE_ONLY, type=Scope.INSTRUMENT)

    def _list_one(self, offer: Offer, quote: Quote | None) -> None:
        """List it. Raises InputError, with nothing said, if it cannot be."""
        quote = self._check_offer(offer, quote)
        currency, decimals = self._money_of(offer.settlement)
        key = (offer.base, offer.settlement)
        block, number = self._blocks.get(key, len(self._blocks)), len(self.contracts)
        spec, note = offer.contract(number, currency, decimals, block, quote)
        terms = Terms.of(spec, note)
        self._check_fit(number, terms, decimals, quote)
        if offer.settlement not in self.money:
            self._add(Kind.CURRENCY, currency=currency, amount=decimals)
            self._note({"note": "currency", "currency": currency, "name": offer.settlement, "decimals": decimals})
        self._reserve(offer)
        if key not in self._blocks:
            mates = [other for (underlying, _), other in self._blocks.items() if underlying == offer.base]
            if mates:  # a block is its own underlying unless it is told
                self._add(Kind.UNDERLYING, instrument=block, amount=min(mates))
        self.quotes[number] = quote
        self._add(Kind.INSTRUMENT, spec.encode(), instrument=number)
        self._note(note)
        self._add(Kind.UPSTREAM, instrument=number, account=self.upstream)
        if terms.option:
            self._note({"note": "volatility", "instrument": number, "value": quote.volatility})
        else:
            self._tell_index(number)

    def _check_offer(self, offer: Offer, quote: Quote | None) -> Quote:
        """The quote, if the instrument can be listed at it."""
        if offer.base not in self._underlyings:
            raise InputError("base_currency", offer.base, f"must be one of {sorted(self._underlyings)}")
        if offer.expiry and offer.expiry <= self._now:
            raise InputError("expiration_timestamp", offer.expiry // 10**6, "must be in the future")
        if len(self.contracts) == bounds.INSTRUMENTS_MAX:
            raise InputError("instrument_name", offer.name, f"must be one of the first {bounds.INSTRUMENTS_MAX}")
        if quote is None or self._age_ms(quote) > STALE_MS:
            raise InputError("quote", quote, f"must be known and at most {STALE_MS} ms old")
        # The first quote of an instrument sets its band for good, and there is none before to compare it with.
        told = quote.underlying if offer.product == Product.OPTION else quote.mark
        if not quote.index / NARROWEST <= told <= quote.index * NARROWEST:
            field_name = "underlying_price" if offer.product == Product.OPTION else "mark_price"
            raise InputError(field_name, told, f"must be within a factor of {NARROWEST} of the index, {quote.index}")
        return quote

    def _money_of(self, name: str) -> tuple[int, int]:
        """Number and decimals of a settlement currency, defined or about to be."""
        if name in self.money:
            return self.money[name]
        if name not in self._decimals or len(self.money) == bounds.CURRENCIES_MAX:
            rule = f"must be of the venue's currencies and of the first {bounds.CURRENCIES_MAX} settled in"
            raise InputError("settlement_currency", name, rule)
        return len(self.money), atoms_decimals(name, self._decimals[name])

    def _check_fit(self, number: int, terms: Terms, decimals: int, quote: Quote) -> None:
        """Raise InputError unless the model can publish it and the engine would hold a lot: a publication is refused
        whole, so one misfit would leave everything else without marks."""
        spec = terms.spec
        view = MarketView(
            self._now,
            {spec.currency: self._currency(terms.settlement, decimals, quote.index)},
            {spec.block: BlockMarket(terms.underlying, quote.index)},
            {number: self._priced(terms, quote)[0]},
        )
        publication = self._model.publish(view)
        rate = publication.currencies[0].rate_loss
        dearest = formulas.limit_value(spec, 1, spec.price_min if spec.form == Form.INVERSE else spec.price_max)
        live = bounds.GROUP_INSTRUMENTS_MAX
        if not largest_open_position(publication.instruments[0], rate, dearest, spec.largest_position, live):
            raise InputError("min_trade_amount", float(terms.lot), f"must be worth less: a lot of {live} instruments")

    def _reserve(self, offer: Offer) -> None:
        """Raise the tier to an instrument's rates; rebates are not counted on."""
        asked = (offer.maker, offer.taker)
        if offer.product == Product.OPTION:
            asked = (bounds.FEE_RATE_MAX if offer.maker > 0 else 0, bounds.FEE_RATE_MAX if offer.taker > 0 else 0)
        known = self._rates.get(offer.fee_class, (0, 0))
        maker, taker = (max(pair) for pair in zip(asked, known, strict=True))
        if (maker, taker) != known:
            self._tier(offer.fee_class, maker, taker)

    # -- prices --------------------------------------------------------------------------------------------------------

    def _expired(self, terms: Terms) -> bool:
        return 0 < terms.spec.expiry <= self._now

    def _age_ms(self, quote: Quote) -> int:
        return self._now // 10**6 - quote.time_ms

    def _deliver(self, delivered: Mapping[str, float]) -> None:
        self.undelivered = {}
        for number, terms in list(self.live.items()):
            if not self._expired(terms):
                continue
            name = terms.spec.name
            if name not in delivered:
                self.undelivered[name] = "its delivery price is not known yet"
                continue
            price = round(exact(name, delivered[name]) / terms.delivery_tick)
            if terms.spec.deliverable(price):
                self._add(Kind.EXPIRE, instrument=number, price=price)
            else:
                self.undelivered[name] = f"{delivered[name]} is out of the bounds of delivery prices"

    def _hear(self, quotes: Mapping[str, Quote]) -> None:
        """Take what is new and believable; say of the rest why not."""
        self.stale = {}
        for number, terms in self.live.items():
            if self._expired(terms):
                continue
            quote, last = quotes.get(terms.spec.name), self.quotes[number]
            if quote is None or self._age_ms(quote) > STALE_MS:
                self.stale[terms.spec.name] = "no quote" if quote is None else "an old quote"
            elif quote.time_ms > last.time_ms:
                if self._believed(number, terms, quote):
                    self.quotes[number] = quote
                    self._fresh.add(number)
                else:
                    self.stale[terms.spec.name] = "a quote far from the last"
            elif number in self._doubted:
                self.stale[terms.spec.name] = "a quote far from the last"

    def _believed(self, number: int, terms: Terms, quote: Quote) -> bool:
        """Whether a quote is near the last one taken, or near an earlier one that was doubted."""
        doubted = self._doubted.get(number)
        if leaps(quote, self.quotes[number], terms.coin(quote)):
            repeated = doubted is not None and quote.time_ms > doubted.time_ms
            if doubted is None or not repeated or leaps(quote, doubted, terms.coin(quote)):
                if doubted is None or repeated:
                    self._doubted[number] = quote
                return False
        self._doubted.pop(number, None)
        return True

    def _due(self) -> set[int]:
        """Blocks to publish now."""
        if self._now - max(self._published_at.values(), default=0) < PUBLISH_LEAST_NS:
            return set()
        new = {terms.spec.block for number, terms in self.live.items() if number not in self._published}
        fresh = self._fresh & self.live.keys()
        blocks = new | {self.live[number].spec.block for number in fresh}
        waited = any(self._now - self._published_at.get(block, 0) >= PUBLISH_NS for block in blocks)
        return blocks if new or waited or any(self._moved(number) for number in fresh) else set()

    def _moved(self, number: int) -> bool:
        """Whether a quote is worth a publication before its time."""
        quote, last = self.quotes[number], self._published.get(number)
        if last is None:
            return True
        unit = self.live[number].coin(quote) or last.mark
        return (
            abs(quote.mark - last.mark) > CADENCE.move * unit
            or abs(quote.index - last.index) > CADENCE.move * last.index
            or abs(quote.underlying - last.underlying) > CADENCE.move * last.underlying
            or abs(quote.volatility - last.volatility) > CADENCE.volatility_move * last.volatility
        )

    def _index_ticks(self, number: int) -> int:
        terms = self.live[number]
        return min(max(round(exact("index", self.quotes[number].index) / terms.tick), 1), bounds.PRICE_MAX)

    def _tell_index(self, number: int) -> None:
        self._add(Kind.INDEX, instrument=number, price=self._index_ticks(number))

    def _publish(self, blocks: set[int]) -> None:
        """Publish all of some blocks, with the quotes it is made of where they are not those of the last time."""
        latest: dict[str, Quote] = {}
        for number, terms in self.live.items():
            quote = self.quotes[number]
            if terms.index not in latest or quote.time_ms > latest[terms.index].time_ms:
                latest[terms.index] = quote
        index_of = {name: quote.index for name, quote in latest.items()}
        named: dict[int, BlockMarket] = {}
        priced: dict[int, InstrumentMarket] = {}
        for number, terms in self.live.items():
            if terms.spec.block in blocks:
                quote = self.quotes[number]
                named[terms.spec.block] = BlockMarket(terms.underlying, index_of[terms.index])
                priced[number], outside = self._priced(terms, quote)
                if outside and number not in self._halted:
                    self._add(Kind.STATE, instrument=number, state=VenueState.HALTED, type=Scope.INSTRUMENT)
        currencies = {}
        for name, (currency, decimals) in self.money.items():
            index_usd = index_of.get(f"{name}_USD".lower())
            if name in DOLLARS or index_usd is not None:
                currencies[currency] = self._currency(name, decimals, index_usd or 1.0)
        data = self._model.publish(MarketView(self._now, currencies, named, priced)).encode()
        known = self._published | self._unpublished
        self._note_quotes(number for number in priced if known.get(number) != self.quotes[number])
        self._add(Kind.PUBLISH, data, version=self.version + 1)
        self._fresh -= priced.keys()

    def _note_quotes(self, numbers: Iterable[int]) -> None:
        rows = [[number, *msgspec.structs.astuple(self.quotes[number])] for number in numbers]
        self._note({"note": "quotes", "of": rows})

    def _currency(self, name: str, decimals: int, index_usd: float) -> CurrencyMarket:
        if name in DOLLARS:
            return CurrencyMarket(1.0, decimals, 0.0, 0.0, name)
        return CurrencyMarket(index_usd, decimals, self._haircut, self._markup, name)

    def _priced(self, terms: Terms, quote: Quote) -> tuple[InstrumentMarket, bool]:
        """What the model is told of an instrument, and whether its mark lies outside its band."""
        spec = terms.spec
        mark = quote.mark * terms.tick.denominator / terms.tick.numerator
        dollar = terms.delivery_tick.denominator / terms.delivery_tick.numerator
        index = quote.index * dollar
        forward = quote.underlying * dollar if terms.option else index
        if self._expired(terms):
            spec = replace(spec, expiry=self._now + 1)
        item = InstrumentMarket(spec, mark, forward, quote.volatility, index=index if terms.option else None)
        low = item.mark_ticks < spec.price_min
        if low or item.mark_ticks > spec.price_max:
            item = replace(item, mark=float(spec.price_min if low else spec.price_max))
            return item, not (low and terms.option)  # a premium below half a tick is one tick
        return item, False


def _check_names(accounts: Sequence[Shadow]) -> None:
    names: set[str] = set()
    roles: dict[str, Role] = {}
    for shadow in accounts:
        if not shadow.name or shadow.name in names:
            raise InputError("name", shadow.name, "must be there, and once")
        names.add(shadow.name)
        for role, name in shadow.groups.items():
            if role not in GROUPS or not name or roles.setdefault(name, role) != role:
                raise InputError("groups", name, "must be of one role: a desk, a firm or an owner")
    both = sorted(names & roles.keys())
    if both:
        raise InputError("groups", both, "must not have the names of accounts")
