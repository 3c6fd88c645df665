"""What is defined: currencies, instruments, accounts, fee tiers, the published risk, the state of the venue.

Rare commands, checked here once for both engines; each method either takes its command whole or raises Refused.
"""

from collections.abc import Callable
from typing import Any

from seawall.engine import formulas
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import InstrumentRisk, Publication, largest_open_position
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import FLAG_APPROVED, FLAG_RECOVERED, FLAG_UNCLEAN, SYSTEM_ACCOUNTS, VenueState


class Refused(Exception):
    """A check failed: reason, its two numbers, and where it helps the instrument or price to look at."""

    def __init__(
        self, reason: Reason, a: int = 0, b: int = 0, *, instrument: int = -1, price: int | None = None
    ) -> None:
        super().__init__(reason.name)
        self.reason, self.a, self.b, self.instrument, self.price = reason, a, b, instrument, price


class Catalogue:
    """Definitions and parameters. Ids are dense; nothing is ever redefined but fee tiers and publications."""

    def __init__(self) -> None:
        self.currencies = 0
        self.accounts = SYSTEM_ACCOUNTS
        self.tiers: dict[tuple[int, int], tuple[int, int]] = {}
        self.specs: list[Instrument] = []
        self.expired: list[bool] = []
        self.risks: list[InstrumentRisk | None] = []
        self.rate_loss = [0] * bounds.CURRENCIES_MAX
        self.version = 0
        self.venue = VenueState.OPEN
        self.crashed = False  # halted by an unclean stop and by nothing else, so that a rule may lift it

    def currency(self, command: Any) -> int:
        """Define the next currency; returns its id."""
        if int(command["currency"]) != self.currencies or self.currencies == bounds.CURRENCIES_MAX:
            raise Refused(Reason.ALREADY_DEFINED, int(command["currency"]), self.currencies)
        self.currencies += 1
        return self.currencies - 1

    def instrument(self, command: Any, attachment: bytes) -> Instrument:
        """Define the next instrument. Live instruments of a block share its settlement currency."""
        number = len(self.specs)
        if int(command["instrument"]) != number or number == bounds.INSTRUMENTS_MAX:
            raise Refused(Reason.ALREADY_DEFINED, int(command["instrument"]), number)
        try:
            spec = Instrument.decode(attachment)
        except InputError:
            raise Refused(Reason.MALFORMED, len(attachment), int(command["version"])) from None
        if spec.currency >= self.currencies:
            raise Refused(Reason.UNKNOWN_CURRENCY, spec.currency, self.currencies)
        mates = [
            mate for mate, gone in zip(self.specs, self.expired, strict=True) if mate.block == spec.block and not gone
        ]
        if any(mate.currency != spec.currency for mate in mates) or len(mates) >= bounds.GROUP_INSTRUMENTS_MAX:
            raise Refused(Reason.PUBLICATION_INCOMPLETE, number, spec.block)
        self.specs.append(spec)
        self.expired.append(False)
        self.risks.append(None)
        return spec

    def account(self, command: Any) -> int:
        """Define the next account; returns its tier, both fee classes of which must be defined."""
        if int(command["account"]) != self.accounts or self.accounts == bounds.ACCOUNTS_MAX:
            raise Refused(Reason.ALREADY_DEFINED, int(command["account"]), self.accounts)
        tier = int(command["tier"])
        if (tier, 0) not in self.tiers or (tier, 1) not in self.tiers:
            raise Refused(Reason.UNKNOWN_TIER, tier, len(self.tiers))
        self.accounts += 1
        return tier

    def tier(self, command: Any) -> tuple[int, int]:
        """Set the (maker, taker) rates of one tier and fee class; returns (tier, fee class)."""
        tier, fee_class = int(command["tier"]), int(command["currency"])
        maker, taker = int(command["price"]), int(command["amount"])
        if not 0 <= tier < bounds.TIERS_MAX or not 0 <= fee_class < bounds.FEE_CLASSES:
            raise Refused(Reason.UNKNOWN_TIER, tier, bounds.TIERS_MAX)
        for rate in (maker, taker):
            if abs(rate) > bounds.FEE_RATE_MAX:
                raise Refused(Reason.FEE_RATE, rate, bounds.FEE_RATE_MAX)
        self.tiers[tier, fee_class] = (maker, taker)
        return tier, fee_class

    def opened(self, command: Any) -> VenueState:
        """The state after a node opened the journal: halted if it had not been closed cleanly."""
        if not int(command["flags"]) & FLAG_UNCLEAN:
            return self.venue
        self.crashed = self.crashed or self.venue != VenueState.HALTED
        return VenueState.HALTED

    def state(self, command: Any) -> VenueState:
        """The state the venue goes to. Anything may restrict; only people relax, but for one step after a crash."""
        wanted, flags = int(command["state"]), int(command["flags"])
        if wanted > max(VenueState):
            raise Refused(Reason.STATE_VALUE, wanted, max(VenueState))
        recovery = self.crashed and wanted == VenueState.REDUCE_ONLY and flags & FLAG_RECOVERED
        if wanted < self.venue and not (flags & FLAG_APPROVED or recovery):
            raise Refused(Reason.PEOPLE_REQUIRED, wanted, self.venue)
        self.crashed = False
        return VenueState(wanted)

    def expire(
        self, instrument: int, price: int, clock: int, largest_held: Callable[[int], tuple[int, int]]
    ) -> Instrument:
        """Take an expiry at a delivery price of `price` ticks; returns the specification.

        `largest_held` tells an instrument's largest position in lots and its holders' largest cash in atoms: what is
        delivered must fit a balance.
        """
        if not 0 <= instrument < len(self.specs):
            raise Refused(Reason.UNKNOWN_INSTRUMENT, instrument, len(self.specs))
        spec = self.specs[instrument]
        if spec.product == Product.PERPETUAL:
            raise Refused(Reason.NOT_PERPETUAL, instrument, spec.product)
        if self.expired[instrument]:
            raise Refused(Reason.EXPIRED, spec.expiry, clock)
        if clock < spec.expiry:
            raise Refused(Reason.NOT_EXPIRED, spec.expiry, clock)
        if not spec.deliverable(price):
            raise Refused(Reason.DELIVERY_BOUND, price, spec.strike or spec.price_max)
        lots, cash = largest_held(instrument)
        if (
            max(abs(formulas.delivered_value(spec, side * lots, price)) for side in (1, -1)) + cash
            > bounds.DEPOSITS_MAX
        ):
            raise Refused(Reason.DELIVERY_BOUND, price, bounds.DEPOSITS_MAX)
        self.expired[instrument] = True
        return spec

    def publication(
        self, command: Any, attachment: bytes, largest_open: Callable[[], list[int]]
    ) -> tuple[Publication, dict[int, int]]:
        """Take the next version. Returns it and the position bound, in lots, of each live published instrument.

        `largest_open` tells each instrument's largest position, open quantity included. Blocks must be whole and every
        open position in bounds.
        """
        version = int(command["version"])
        if version != self.version + 1:
            raise Refused(Reason.VERSION, version, self.version)
        try:
            publication = Publication.decode(attachment)
        except InputError:
            raise Refused(Reason.MALFORMED, len(attachment), version) from None
        rates = list(self.rate_loss)
        for rate in publication.currencies:
            if rate.currency >= self.currencies:
                raise Refused(Reason.UNKNOWN_CURRENCY, rate.currency, self.currencies)
            rates[rate.currency] = rate.rate_loss
        risks = self._risks_with(publication, rates)
        limits, open_now = {}, largest_open()
        live = self.expired.count(False)
        for number, risk in enumerate(risks):
            if self.expired[number] or risk is None:
                continue
            limits[number] = self._position_bound(number, risk, rates, live)
            if limits[number] < max(1, open_now[number]):
                raise Refused(Reason.PUBLICATION_BOUND, number, open_now[number])
        self.version, self.rate_loss, self.risks = version, rates, risks
        return publication, limits

    def _risks_with(self, publication: Publication, rates: list[int]) -> list[InstrumentRisk | None]:
        """The risk of every instrument once `publication` holds; Refused unless its blocks are whole."""
        blocks = {block.block: block for block in publication.blocks}
        risks = list(self.risks)
        published = set()
        for risk in publication.instruments:
            number = risk.instrument
            if number >= len(self.specs) or self.expired[number]:
                raise Refused(Reason.UNKNOWN_INSTRUMENT, number, len(self.specs))
            spec = self.specs[number]
            block = blocks.get(spec.block)
            if block is None or block.scenarios != len(risk.u) or rates[spec.currency] == 0:
                raise Refused(Reason.PUBLICATION_INCOMPLETE, number, spec.block)
            if not spec.price_min <= risk.mark <= spec.price_max:
                bound = spec.price_min if risk.mark < spec.price_min else spec.price_max
                raise Refused(Reason.PRICE_BAND, risk.mark, bound, instrument=number)
            risks[number] = risk
            published.add(number)
        for number, spec in enumerate(self.specs):
            if not self.expired[number] and spec.block in blocks and number not in published:
                raise Refused(Reason.PUBLICATION_INCOMPLETE, number, spec.block)
        return risks

    def _position_bound(self, number: int, risk: InstrumentRisk, rates: list[int], live: int) -> int:
        spec = self.specs[number]
        dearest = formulas.limit_value(spec, 1, spec.price_min if spec.form == Form.INVERSE else spec.price_max)
        return largest_open_position(risk, rates[spec.currency], dearest, spec.largest_position, live)
