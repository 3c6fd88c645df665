"""Liquidation and deleveraging rules that venues publish, as pure formulas: prices, shares, ranks, losses shared.

The waterfall that calls them is not here. Sizes are signed, positive long; amounts in dollars, sizes in coins. Where a
venue rounds on chain the formula is exact (`fractions.Fraction`) and rounds once, in the direction it states. Each
function names its source and the traps of that source; each raises InputError for bad numbers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import exact, number, positive

Number = float | int | Fraction
QUOTE_STEP: Final = Fraction(1, 1_000_000)
"""The quote currency's smallest unit on the dYdX chain, in dollars."""


@dataclass(frozen=True, slots=True)
class MarginedPosition:
    """A position of `size` coins at `oracle_price`; maintenance margin is `mmf` of its value."""

    size: Number
    oracle_price: Number
    mmf: Number


@dataclass(frozen=True, slots=True)
class _Subaccount:
    """Exact totals: value and maintenance margin of the position to close, net collateral and margin of all."""

    size: Fraction
    value: Fraction
    margin: Fraction
    net_collateral: Fraction
    total_margin: Fraction


def dydx_fillable_price(
    positions: Sequence[MarginedPosition],
    quote_balance: Number,
    close: int,
    *,
    bankruptcy_adjustment: Number = 1,
    spread_to_mmr: Number = Fraction(1, 10),
) -> Fraction:
    """Price at which dYdX v4 offers position number `close` of a liquidated subaccount, exact.

    Source: dYdX v4 chain, x/clob. (PNNV - ABR x SMMR x PMMR) / PS with ABR = clamp(BA (1 - TNC / TMMR), 0, 1): PNNV
    and PMMR are the position's value and maintenance margin, TNC and TMMR net collateral and margin of all positions,
    PS its size, BA = `bankruptcy_adjustment`, SMMR = `spread_to_mmr`. The better capitalised the account, the closer
    to the oracle price. Trap: with several positions TNC and TMMR are the account's, PNNV and PMMR the position's.
    """
    adjustment = exact("bankruptcy_adjustment", bankruptcy_adjustment, at_least=1)
    spread = exact("spread_to_mmr", spread_to_mmr, above=0)
    account = _subaccount(positions, quote_balance, close)
    rating = adjustment * (1 - account.net_collateral / account.total_margin)
    rating = min(max(rating, Fraction(0)), Fraction(1))
    return (account.value - rating * spread * account.margin) / account.size


def dydx_bankruptcy_quote(
    positions: Sequence[MarginedPosition], quote_balance: Number, close: int, change: Number
) -> Fraction:
    """Quote received (negative: paid) for changing position `close` by `change` at its bankruptcy price.

    Source: dYdX v4 chain, x/clob. -DNNV - TNC |DMMR| / TMMR, DNNV and DMMR being the change of the position's value and
    maintenance margin; rounded up, toward plus infinity, to 1e-6 dollars. Each position carries net collateral by its
    share of maintenance margin. Trap: "up" raises what a long's closer pays but lowers what a short pays, so the
    rounding is the account's gain on both sides. `change` must reduce the position.
    """
    account = _subaccount(positions, quote_balance, close)
    part = exact("change", change)
    if not (part * account.size < 0 and abs(part) <= abs(account.size)):
        raise InputError("change", change, f"must reduce the position of {account.size}, at most to 0")
    share = -part / account.size
    quote = share * account.value - account.net_collateral * share * account.margin / account.total_margin
    return math.ceil(quote / QUOTE_STEP) * QUOTE_STEP


@dataclass(frozen=True, slots=True)
class PartialLiquidation:
    """`share` of every position that goes to the insurance fund, the penalty, and the account after it."""

    share: Fraction
    penalty: Fraction
    margin: Fraction
    account_value: Fraction

    @property
    def margin_ratio(self) -> Fraction | None:
        """Maintenance margin over account value after it; None where nothing positive is left."""
        return self.margin / self.account_value if self.account_value > 0 else None


def paradex_after_share(account_value: Number, margin: Number, share: Number, fee: Number) -> PartialLiquidation:
    """The account after `share` of every position is taken: penalty = share x fee x maintenance margin.

    Source: Paradex documentation, Liquidations. Trap: its text gives a fee of 70 % of the maintenance margin, its table
    of worked numbers needs 50 % (8.88 = 0.2 x 0.5 x 88.8), so the fee is the caller's.
    """
    value, old = exact("account_value", account_value), exact("margin", margin, at_least=0)
    part, rate = exact("share", share, at_least=0), exact("fee", fee, at_least=0)
    for field, fraction in (("share", part), ("fee", rate)):
        number(field, fraction, at_most=1.0)
    penalty = part * rate * old
    return PartialLiquidation(part, penalty, old * (1 - part), value - penalty)


def paradex_partial_liquidation(
    account_value: Number,
    margin: Number,
    *,
    fee: Number = Fraction(1, 2),
    step: Number = Fraction(1, 5),
    target: Number = Fraction(9, 10),
) -> PartialLiquidation:
    """The smallest multiple of `step` of all positions that brings the margin ratio below `target`; 0 at <= 100 %.

    Source: Paradex documentation, Liquidations. The default fee is the table's 50 %, see `paradex_after_share`; with
    the text's 70 % the published account (80 against 88.8) would lose 60 % instead of 40 %. Where no share does (the
    account's value does not outlast the penalty), all of it goes.
    """
    size = exact("step", step, above=0)
    number("step", size, at_most=1.0)
    goal = exact("target", target, above=0)
    whole = paradex_after_share(account_value, margin, 0, fee)
    if whole.margin <= whole.account_value:
        return whole
    shares = [part * size for part in range(1, math.ceil(1 / size))]
    for share in shares:
        after = paradex_after_share(account_value, margin, share, fee)
        if after.margin_ratio is not None and after.margin_ratio < goal:
            return after
    return paradex_after_share(account_value, margin, 1, fee)


@dataclass(frozen=True, slots=True)
class SocializedLoss:
    """What the fund cannot cover, the factor withheld, and how it parts a withdrawal."""

    bankruptcy: Fraction
    factor: Fraction
    to_fund: Fraction
    to_user: Fraction


def paradex_socialized_loss(
    insurance_fund: Number,
    user_balances: Sequence[Number],
    settlement_balances: Sequence[Number],
    withdrawal: Number,
    *,
    rule: Literal["table", "formula"] = "table",
) -> SocializedLoss:
    """How a loss beyond the insurance fund is taken from a withdrawal (withdrawals only; balances are not touched).

    Source: Paradex documentation, Socialized Losses. The loss is the negative settlement balances less the fund. Trap:
    the printed formula, loss / (exchange's balance + loss), gives 1000 / 5000 = 20 % where the printed example says
    25 % = 1000 / 4000, the exchange's balance being users' 3,000 and the fund's 1,000. `rule` chooses; the default is
    the example's, which withholds more.
    """
    fund = exact("insurance_fund", insurance_fund, at_least=0)
    users = [exact(f"user_balances[{at}]", value, at_least=0) for at, value in enumerate(user_balances)]
    owed = [exact(f"settlement_balances[{at}]", value) for at, value in enumerate(settlement_balances)]
    amount = exact("withdrawal", withdrawal, at_least=0)
    if rule not in ("table", "formula"):
        raise InputError("rule", rule, "must be table or formula")
    total = fund + sum(users, Fraction())
    if total <= 0:
        raise InputError("user_balances", user_balances, "must leave the exchange a balance")
    loss = max(-sum((value for value in owed if value < 0), Fraction()) - fund, Fraction(0))
    factor = min(loss / (total if rule == "table" else total + loss), Fraction(1))
    return SocializedLoss(loss, factor, factor * amount, (1 - factor) * amount)


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An open order of an account below its initial margin; `size` positive, `side` buy or sell."""

    id: str
    side: Literal["buy", "sell"]
    size: Number
    price: Number


def paradex_cancelled_orders(position: Number, orders: Sequence[RestingOrder]) -> list[str]:
    """Ids of the orders cancelled when account value falls below initial margin, in the order they are cancelled.

    Source: Paradex documentation, Deleveraging. First all that would not reduce the position; then, of those that
    would, the most passive (farthest from trading) until what is left is no larger than the position. Of equal prices
    the one listed later goes first. Orders are cancelled whole: what is left may be smaller than the position.
    """
    held = exact("position", position)
    sizes: dict[str, Fraction] = {}
    for at, order in enumerate(orders):
        if order.side not in ("buy", "sell"):
            raise InputError(f"orders[{at}].side", order.side, "must be buy or sell")
        if order.id in sizes:
            raise InputError(f"orders[{at}].id", order.id, "must name each order once")
        sizes[order.id] = exact(f"orders[{at}].size", order.size, above=0)
        positive(f"orders[{at}].price", order.price)
    offsetting = "sell" if held > 0 else "buy"
    reducing = [order for order in orders if held and order.side == offsetting]
    kept = {order.id for order in reducing}
    cancelled = [order.id for order in orders if order.id not in kept]
    toward = 1 if held > 0 else -1
    passive = sorted(enumerate(reducing), key=lambda row: (toward * row[1].price, row[0]), reverse=True)
    open_size = sum((sizes[order.id] for order in reducing), Fraction())
    for _, order in passive:
        if open_size <= abs(held):
            break
        open_size -= sizes[order.id]
        cancelled.append(order.id)
    return cancelled


def inverse_bankruptcy_price(entry: float, leverage: float, side: Literal["long", "short"]) -> float:
    """Price at which the margin of an inverse contract opened at `entry` with `leverage` is gone, before rounding.

    Source: Bybit help centre, What is Auto-Deleveraging: long entry x L / (L + 1); the short mirrors it, entry x L /
    (L - 1). Trap: a short of an inverse contract at leverage 1 cannot go bankrupt: its loss stays below its margin at
    any price, so `leverage` must be above 1 there.
    """
    positive("entry", entry)
    positive("leverage", leverage, at_most=1_000)
    if _sign(side) > 0:
        return entry * leverage / (leverage + 1)
    if leverage <= 1:
        raise InputError("leverage", leverage, "must be above 1 for a short: it has no bankruptcy price")
    return entry * leverage / (leverage - 1)


def to_tick(price: float, tick: float) -> float:
    """`price` at the nearest tick, half away from 0. The one published rounding, 7,735.372549 to 7,735.5, fits it."""
    size = exact("tick", tick, above=0)
    return float(math.floor(exact("price", price, above=0) / size + Fraction(1, 2)) * size)


def hyperliquid_liquidation_price(
    price: float, size: float, maintenance_leverage: float, isolated_margin: float, side: Literal["long", "short"]
) -> float:
    """Price at which an isolated position's equity equals its maintenance margin; 0 where a long cannot reach it.

    Source: Hyperliquid documentation, Liquidations: price - side x available / size / (1 - l x side), l = 1 /
    maintenance leverage, available = isolated margin - l x price x size. `size` is positive. Trap: a long with more
    margin than its value has a negative price in the formula: it cannot be liquidated, and 0 is given.
    """
    positive("price", price)
    positive("size", size)
    number("maintenance_leverage", maintenance_leverage, above=1.0, at_most=1_000)
    number("isolated_margin", isolated_margin)
    sign, share = _sign(side), 1 / maintenance_leverage
    available = isolated_margin - share * price * size
    return max(price - sign * available / size / (1 - share * sign), 0.0)


@dataclass(frozen=True, slots=True)
class AdlPosition:
    """A position to be ranked for deleveraging: `size` positive; `account_value` the equity behind it in dollars.

    With isolated margin, where a bankruptcy price is known, the equity is |mark - bankruptcy price| x size.
    """

    side: Literal["long", "short"]
    size: float
    entry: float
    mark: float
    account_value: float

    def check(self) -> None:
        """Raise InputError for the first number out of range."""
        _sign(self.side)
        for field in ("size", "entry", "mark"):
            positive(field, getattr(self, field))
        positive("account_value", self.account_value)

    @property
    def profit_share(self) -> float:
        """Unrealised profit over the value at entry."""
        return _sign(self.side) * (self.mark - self.entry) / self.entry

    @property
    def leverage(self) -> float:
        """Value at the mark over the equity behind it."""
        return self.mark * self.size / self.account_value


def bankruptcy_equity(side: Literal["long", "short"], size: float, mark: float, bankruptcy: float) -> float:
    """Equity that a bankruptcy price implies; refused where the mark is at or beyond it: such an account is not ranked,
    it is what the others are deleveraged for."""
    equity = _sign(side) * (positive("mark", mark) - positive("bankruptcy", bankruptcy)) * positive("size", size)
    if equity <= 0:
        raise InputError("bankruptcy", bankruptcy, f"must be on the losing side of the mark, {mark}")
    return equity


def profit_by_leverage(position: AdlPosition) -> float:
    """Profit x leverage if in profit, profit / leverage if not; highest first, longs and shorts apart.

    Source: BitMEX, What is Auto-Deleveraging; the same in Bybit's, Poloniex's and Deepcoin's help. Trap: values are
    signed there, a short's mark value is negative, and leverage is |mark value| / (mark value - bankrupt value).
    """
    position.check()
    profit, leverage = position.profit_share, position.leverage
    return profit * leverage if profit > 0 else profit / leverage


def documented_index(position: AdlPosition) -> float:
    """Mark / entry x notional / account value, highest first.

    Source: Hyperliquid documentation, Auto-deleveraging. Trap: it ranks shorts the wrong way round, since mark / entry
    falls as a short wins; kept because it is what the venue says.
    """
    position.check()
    return position.mark / position.entry * position.leverage


def profit_ratio_by_leverage(position: AdlPosition) -> float:
    """Leverage x max(profit, 0) / entry notional, highest first; 0 for whoever is not in profit.

    Source: a published reverse engineering of Hyperliquid's deleveragings (2026), against its documentation.
    """
    position.check()
    return position.leverage * max(position.profit_share, 0.0)


AdlRank = Callable[[AdlPosition], float]

ADL_RANKS: Final[dict[str, AdlRank]] = {
    "profit_ratio_by_leverage": profit_ratio_by_leverage,
    "documented_index": documented_index,
    "profit_by_leverage": profit_by_leverage,
}
"""Ways to rank, by name; the first is the default."""


def deleveraging_order(positions: Sequence[AdlPosition], rank: AdlRank = profit_ratio_by_leverage) -> list[int]:
    """Numbers of the positions in the order they are deleveraged, highest rank first; of equals the one listed
    first."""
    ranks = [rank(position) for position in positions]
    return sorted(range(len(ranks)), key=lambda at: (-ranks[at], at))


def _subaccount(positions: Sequence[MarginedPosition], quote_balance: Number, close: int) -> _Subaccount:
    if not 0 <= close < len(positions):
        raise InputError("close", close, f"must be a position's number, 0 to {len(positions) - 1}")
    rows = []
    for at, item in enumerate(positions):
        size = exact(f"positions[{at}].size", item.size)
        value = size * exact(f"positions[{at}].oracle_price", item.oracle_price, above=0)
        share = exact(f"positions[{at}].mmf", item.mmf, above=0)
        number(f"positions[{at}].mmf", share, at_most=1.0)
        rows.append((size, value, abs(value) * share))
    size, value, margin = rows[close]
    if size == 0:
        raise InputError(f"positions[{close}].size", 0, "must not be 0: there is nothing to close")
    worth = exact("quote_balance", quote_balance) + sum(row[1] for row in rows)
    return _Subaccount(size, value, margin, worth, sum((row[2] for row in rows), Fraction()))


def _sign(side: str) -> int:
    if side not in ("long", "short"):
        raise InputError("side", side, "must be long or short")
    return 1 if side == "long" else -1
