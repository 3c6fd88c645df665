"""An account at one moment, as the dialect tells of it: what the engine showed, the ledger's averages, the marks.

Whose number is whose. Quantities, cash, equity and requirements in dollars are the engine's (`account_view`), never
reckoned again by another rule. Prices of entry are the ledger's.

By currency, in its coins:
    balance             as in the transaction log: cash, fees, premiums of options paid or earned
    equity              balance + session gains of futures + value of options, at the marks
    margin_balance      the same with gains only as far as the engine counts them
    initial_margin      what the blocks settled in this currency require, open orders included, in coins at the rate at
                        which owned coins count (after the haircut); so the currencies' margins add up to the account's
    maintenance_margin  the same of the maintenance row
    available_funds     equity - initial_margin, but no more than the whole account has to spare, and never below 0:
                        one account's currencies stand for one another
In dollars, the same in each currency: `total_*_usd`, what the gate itself compares.
"""

from typing import Any, Final

from seawall.api import options
from seawall.api.ledger import Position, gain
from seawall.api.listing import Listing
from seawall.api.requirements import coins
from seawall.api.view import View
from seawall.engine import formulas
from seawall.vocabulary.instruments import Form

USD: Final = 1_000_000
"""Value atoms of a dollar."""

_ZERO: Final = ("spot_reserve", "additional_reserve", "fee_balance", "locked_balance")
_GREEKS: Final = ("delta", "gamma", "vega", "theta")


class Holding:
    """One position with its gains, in atoms, and its greeks in coins of the underlying.

    `held` is what the engine holds; of its cash it took the fees `taken`, which are in the statement's balance.
    """

    __slots__ = (
        "entry", "floating", "greeks", "held_gain", "listing", "lots", "mark", "opened", "realized", "size", "taken",
        "value",
    )  # fmt: skip

    def __init__(self, view: View, listing: Listing, entry: Position, held: tuple[int, ...], taken: int = 0) -> None:
        self.listing, self.entry, self.taken = listing, entry, taken
        self.lots, cash, *self.opened = held
        self.mark = view.marks.get(listing.number, 0)
        spec, mark = listing.spec, self.mark
        self.value = formulas.position_value(spec, self.lots, mark) if mark else 0
        self.held_gain = cash + self.value
        self.realized = entry.realized if self.lots else float(cash + taken)
        self.floating = self.held_gain + taken - self.realized
        self.size = coins_of(listing, self.lots, mark)
        self.greeks = greeks_of(view, listing, self.size)

    @property
    def total(self) -> float:
        """Gain since the position was built."""
        return gain(self.listing.spec, self.lots, self.entry.average, self.mark)


class Portfolio:
    """One account; made for one answer. `seen` is what the engine's `account_view` gave."""

    def __init__(self, view: View, account: int, seen: dict[str, Any]) -> None:
        self.view, self.account, self.seen = view, account, seen
        self.holdings: dict[int, Holding] = {}
        self._opened: dict[tuple[int, int], tuple[int, int]] | None = None
        """Lots, and ticks times lots, of its open orders by instrument and side; None until they are asked for."""
        before = seen.get("before", seen["positions"])  # what is imagined comes to what is held, or replaces it
        for instrument, held in seen["positions"].items():
            listing = view.listings.get(instrument)
            if listing is None:
                continue
            if instrument not in before:
                self.holdings[instrument] = Holding(view, listing, Position(), held)
                continue
            entry = view.ledger.position(account, instrument)
            self.holdings[instrument] = Holding(view, listing, entry, held, entry.cash - before[instrument][1])

    # -- summaries -----------------------------------------------------------------------------------------------------

    def summaries(self) -> list[dict[str, Any]]:
        """One for each currency."""
        return [self.summary(currency) for currency in sorted(self.view.currencies)]

    def summary(self, currency: int) -> dict[str, Any]:
        """Section 6.1 of the dialect for one currency, what is asked for with `extended` apart."""
        name, decimals = self.view.currencies[currency]
        unit = 10**decimals
        mine = [item for item in self.holdings.values() if item.listing.spec.currency == currency]
        futures = [item for item in mine if not item.listing.option]
        opts = [item for item in mine if item.listing.option]
        premium = sum(item.realized + item.floating - item.value for item in opts)
        cash = self.seen["balance"][currency] + premium - sum(item.taken for item in mine)
        value = sum(item.value for item in opts)
        equity = cash + value + sum(item.realized + item.floating for item in futures)
        balance = float(self.view.ledger.of(self.account).balance.get(currency, 0))
        rate = self.view.requirements.rate(currency)
        initial, maintenance = (coins(row, rate) for row in self._rows(currency))
        spare = coins(self.seen["excess"], rate)
        rpl, upl = _sums(futures)
        rpl += cash - balance  # of an imagined portfolio what it held is cash
        options_rpl, options_upl = _sums(opts)
        atoms = {
            "balance": balance,
            "equity": equity,
            "margin_balance": equity - sum(self._uncounted(item) for item in mine),
            "available_funds": max(0.0, min(equity - initial, spare)),
            "available_withdrawal_funds": max(0.0, min(self._cash(currency, mine), spare)),
            "initial_margin": initial,
            "maintenance_margin": maintenance,
            "projected_initial_margin": initial,
            "projected_maintenance_margin": maintenance,
            "futures_session_rpl": rpl,
            "futures_session_upl": upl,
            "futures_pl": rpl + upl,
            "options_session_rpl": options_rpl,
            "options_session_upl": options_upl,
            "options_pl": options_rpl + options_upl,
            "options_value": value,
            "session_rpl": rpl + options_rpl,
            "session_upl": upl + options_upl,
            "total_pl": rpl + upl + options_rpl + options_upl,
        }
        made: dict[str, Any] = {"currency": name}
        made |= {field: round(number / unit, decimals) for field, number in atoms.items()}
        made["available_subaccount_transfer_funds"] = made["available_withdrawal_funds"]
        made |= dict.fromkeys(_ZERO, 0.0)
        return made | self._exposures(currency, mine) | self._dollars()

    def _dollars(self) -> dict[str, Any]:
        seen = self.seen
        delta = sum(item.greeks["delta"] * self._index(item.listing) for item in self.holdings.values())
        return {
            "total_equity_usd": seen["equity"] / USD,
            "total_margin_balance_usd": seen["equity"] / USD,
            "total_initial_margin_usd": seen["initial"] / USD,
            "total_maintenance_margin_usd": seen["maintenance"] / USD,
            "total_delta_total_usd": round(delta, 2),
            "cross_collateral_enabled": True,
        }

    def _exposures(self, currency: int, mine: list[Holding]) -> dict[str, Any]:
        """Greeks summed and by index, and how far an index is from where the account would be liquidated."""
        names = sorted({index for settled, index in self.view.blocks.values() if settled == currency})
        maps: dict[str, dict[str, float]] = {greek: dict.fromkeys(names, 0.0) for greek in _GREEKS}
        total, ratios = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        for item in mine:
            index = item.listing.index
            total[index] = total.get(index, 0.0) + item.greeks["delta"]
            if item.listing.option:
                for greek in _GREEKS:
                    maps[greek][index] = maps[greek].get(index, 0.0) + item.greeks[greek]
        for index, delta in total.items():
            ratios[index] = self._ratio(delta * self.view.index_prices.get(index, 0.0))
        made: dict[str, Any] = {f"options_{greek}": round(sum(maps[greek].values()), 6) for greek in _GREEKS}
        for greek in ("gamma", "vega", "theta"):
            made[f"options_{greek}_map"] = {index: round(number, 6) for index, number in maps[greek].items()}
        made["delta_total_map"] = {index: round(number, 6) for index, number in total.items()}
        made["delta_total"] = made["projected_delta_total"] = round(sum(total.values()), 6)
        made["estimated_liquidation_ratio_map"] = ratios
        made["estimated_liquidation_ratio"] = next((ratio for ratio in ratios.values() if ratio), 0.0)
        return made

    def _ratio(self, dollars: float) -> float:
        """What multiple of the index would leave equity at maintenance, were the delta all there is; 0: none."""
        spare = (self.seen["equity"] - self.seen["maintenance"]) / USD
        if abs(dollars) < 1:
            return 0.0
        ratio: float = max(0.0, 1 - spare / dollars)
        return round(ratio, 6)

    def _rows(self, currency: int) -> tuple[float, float]:
        """Initial and maintenance requirement of the blocks settled in a currency, and what its orders reserve."""
        requirements = self.view.requirements
        blocks = [block for block, (settled, _) in self.view.blocks.items() if settled == currency]
        reserve = self.seen["reserve"] if currency == self._reserving() else 0
        initial, maintenance = requirements.rows(requirements.account(self.seen, blocks))
        return initial + reserve, maintenance + reserve

    def _reserving(self) -> int:
        """The currency in which the reserves of orders, a fraction of a cent each, are counted: the first with any."""
        listings = self.view.listings
        used = [listings[number].spec.currency for number, held in self.seen["positions"].items() if held[2] or held[3]]
        return min(used, default=0)

    def _uncounted(self, item: Holding) -> float:
        if not self.view.requirements.known(item.listing.number):
            return 0.0
        cap = self.view.requirements.risk(item.listing.number).gain_cap
        return max(0.0, float(item.held_gain - cap))

    def _cash(self, currency: int, mine: list[Holding]) -> float:
        """What the engine would let go: cash, less losses of the session and premiums paid."""
        cash = float(self.seen["balance"][currency])
        for item in mine:
            cash += min(0.0, float(item.held_gain - item.value if item.listing.option else item.held_gain))
        return cash

    def _index(self, listing: Listing) -> float:
        price: float = self.view.index_prices.get(listing.index, 0.0)
        return price

    # -- positions -----------------------------------------------------------------------------------------------------

    def position(self, listing: Listing) -> dict[str, Any]:
        """Section 6.2 of the dialect; a flat one for an instrument that the account does not hold."""
        item = self.holdings.get(listing.number)
        if item is None:
            item = Holding(self.view, listing, Position(), (0, 0, 0, 0))
        view, decimals = self.view, self.view.currencies[listing.spec.currency][1]
        unit, rate = 10**decimals, view.requirements.rate(listing.spec.currency)
        initial, maintenance = view.requirements.of_position(listing.number, item.lots)
        atoms = {
            "initial_margin": coins(initial, rate),
            "maintenance_margin": coins(maintenance, rate),
            "open_orders_margin": coins(self._orders_need(item), rate),
            "floating_profit_loss": item.floating,
            "realized_profit_loss": item.realized,
            "total_profit_loss": item.total,
            "realized_funding": item.entry.funding,
        }
        made: dict[str, Any] = {
            "instrument_name": listing.name,
            "kind": listing.kind,
            "direction": "buy" if item.lots > 0 else "sell" if item.lots < 0 else "zero",
            "size": listing.amount(item.lots),
            "average_price": round(item.entry.average * listing.tick[0] / listing.tick[1], 8),
            "mark_price": listing.price(item.mark),
            "index_price": self._index(listing),
            "settlement_price": listing.price(view.settlement_marks.get(listing.number, 0)),
            **{field: round(number / unit, decimals) for field, number in atoms.items()},
            "leverage": self._leverage(item, initial),
            "estimated_liquidation_price": self._liquidation(item),
            "delta": round(item.greeks["delta"], 6),
        }
        if listing.option:
            index = self._index(listing) if listing.quote == listing.base else 1.0
            made |= {greek: round(item.greeks[greek], 6) for greek in ("gamma", "vega", "theta")}
            made["average_price_usd"] = round(made["average_price"] * index, 4)
            made["floating_profit_loss_usd"] = round(made["floating_profit_loss"] * index, 4)
        else:
            made["size_currency"] = round(item.size, 8)
        if not listing.perpetual:
            del made["realized_funding"]
        return made

    def _orders_need(self, item: Holding) -> float:
        """What the open orders of an instrument need by themselves, a side's taken as one at their mean price."""
        if not any(item.opened):
            return 0.0
        if self._opened is None:
            self._opened = {}
            for order in self.view.client(self.account).open.values():
                if order.resting:
                    lots, ticks = self._opened.get((order.instrument, order.side), (0, 0))
                    sums = (lots + order.remaining, ticks + order.price * order.remaining)
                    self._opened[order.instrument, order.side] = sums
        need = 0
        fees = fee_parts(self.view, self.account, item.listing)
        for side in (1, -1):
            lots, ticks = self._opened.get((item.listing.number, side), (0, 0))
            if lots:
                need += self.view.requirements.of_order(item.listing.number, side, lots, ticks // lots, fees)[0]
        return need

    def _leverage(self, item: Holding, initial: int) -> int:
        dollars = abs(item.size) * self._index(item.listing)
        return max(1, int(dollars * USD / initial)) if initial else 1

    def _liquidation(self, item: Holding) -> float | None:
        """The price of a future at which equity is at maintenance, were nothing else to move; None if there is none."""
        listing, spec = item.listing, item.listing.spec
        if listing.option or not item.lots or not item.mark:
            return None
        spare = coins(self.seen["equity"] - self.seen["maintenance"], self.view.requirements.rate(spec.currency))
        if spec.form == Form.INVERSE:
            inverse = 1 / item.mark + spare / (item.lots * spec.multiplier)
            ticks = 1 / inverse if inverse > 0 else 0.0
        else:
            ticks = item.mark - spare / (item.lots * spec.multiplier)
        return round(ticks * listing.tick[0] / listing.tick[1], 4) if 0 < ticks < 1e9 else None


def fee_parts(view: View, account: int, listing: Listing) -> tuple[int, int]:
    """Maker and taker fee of an account, in millionths."""
    maker, taker = view.fee_rates(account, listing)
    return round(maker * 1e6), round(taker * 1e6)


def _sums(items: list[Holding]) -> tuple[float, float]:
    """Realised and unrealised gains."""
    return sum(item.realized for item in items), sum(item.floating for item in items)


def coins_of(listing: Listing, lots: int, mark: int) -> float:
    """A position in coins of the underlying."""
    amount = listing.amount(lots)
    if not listing.inverse:
        return amount
    return amount / listing.price(mark) if mark else 0.0


def greeks_of(view: View, listing: Listing, size: float) -> dict[str, float]:
    """Of a position of so many coins, at the marks."""
    if not listing.option:
        return {"delta": size, "gamma": 0.0, "vega": 0.0, "theta": 0.0}
    forward, years = options.forward_of(view, listing), options.years_of(view, listing)
    if not size or not forward:
        return dict.fromkeys(_GREEKS, 0.0)
    volatility = options.mark_volatility(view, listing)
    found = options.greeks(forward, listing.strike(), volatility, years, listing.spec.option_type)
    return {greek: size * found[greek] for greek in _GREEKS}
