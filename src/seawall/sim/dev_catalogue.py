"""What the market of `seawall serve --dev` lists, from any moment on, under the names that Deribit would give.

BTC-PERPETUAL, BTC-<date>       lots of 10 USD, ticks of 0.5 USD, settled in BTC
ETH-PERPETUAL, ETH-<date>       lots of 1 USD, ticks of 0.05 USD, settled in ETH
BTC_USDC-PERPETUAL              lots of 0.0001 BTC, ticks of 0.5 USD, settled in USDC
BTC-<date>-<strike>-C|P         lots of 0.1 BTC, premium ticks of 0.0001 BTC, settled in BTC
ETH-<date>-<strike>-C|P         lots of 1 ETH, premium ticks of 0.0001 ETH, settled in ETH

Three expiries stand, all at 08:00 UTC: a day's, a Friday's, a month's last Friday. When one is delivered the next is
listed: 22 instruments, about once a day. Numbers are never used again, so the 2^14 that an engine has last for 740
days; from then on nothing new is listed.

Bounds. Perpetuals and futures take orders of 400 million USD at the index of the start: 200 times what a client of the
development venue is given. The engine bounds a position's value at the dearest price of its band, in the money it
settles in (2^48 atoms) and in dollars (2^50 millionths), so a band as wide as twenty times the index leaves room for
53 million only. The dear end of a band (low for coin-settled contracts, high for dollar-settled ones) is
therefore 2.2 times the index of the start away, the other end 20 times; and an atom of USDC is a hundred-thousandth
here, not a millionth. The walk keeps the index within half and double of its start, so a mark is always inside.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from seawall.sim.catalogue import BTC, BTC_COIN, BTC_DOLLAR, COINS, ETH, ETH_COIN, USDC, Contract
from seawall.vocabulary.hours import DAY_NS, EXPIRY_HOUR
from seawall.vocabulary.instruments import Form, Instrument, Product

CURRENCIES: Final = (("BTC", 8), ("ETH", 8), ("USDC", 5))
"""Settlement currencies by number: name and decimals of an atom."""

LEAST_LIFE: Final = timedelta(hours=2)
STRIKES: Final = 5
NARROW: Final = 2.2
WIDE: Final = 20.0
"""How far the ends of a price band are from the index of the start, as factors: the dear end and the other."""

_FRIDAY: Final = 4
_OPTION_LOTS_MAX: Final = 100_000
_OPTION_PRICE_MAX: Final = 40_000
_CARRY: Final = 0.04

Ratio = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a family of contracts has in common: the numbers behind a `Contract`, exact, and its names on the wire."""

    underlying: str
    settlement: str
    currency: int
    block: int
    tick: Ratio  # of price_unit
    price_unit: str
    lot: Ratio  # of lot_unit
    lot_unit: str
    delivery_tick: Ratio  # dollars
    contract_size: float  # of lot_unit
    multiplier: int
    lot_atoms: int = 0  # coin-settled options: coin atoms that a lot delivers

    @property
    def counter(self) -> str:
        """What the index is quoted in."""
        return "USDC" if self.settlement == "USDC" else "USD"


_FUTURES: Final = {
    BTC_COIN: Terms("BTC", "BTC", BTC, BTC_COIN, (1, 2), "USD", (10, 1), "USD", (1, 2), 10, 2 * 10**9),
    ETH_COIN: Terms("ETH", "ETH", ETH, ETH_COIN, (1, 20), "USD", (1, 1), "USD", (1, 20), 1, 2 * 10**9),
    BTC_DOLLAR: Terms("BTC", "USDC", USDC, BTC_DOLLAR, (1, 2), "USD", (1, 10_000), "BTC", (1, 2), 0.0001, 5),
}
_OPTIONS: Final = {
    BTC_COIN: Terms("BTC", "BTC", BTC, BTC_COIN, (1, 10_000), "BTC", (1, 10), "BTC", (1, 2), 1, 1000, 10**7),
    ETH_COIN: Terms("ETH", "ETH", ETH, ETH_COIN, (1, 10_000), "ETH", (1, 1), "ETH", (1, 20), 1, 10**4, 10**8),
}
_STRIKE_STEPS: Final = {
    "BTC": {"day": 1000, "week": 2000, "month": 5000},
    "ETH": {"day": 50, "week": 100, "month": 200},
}
_VOLATILITY: Final = {"BTC": 0.55, "ETH": 0.70}


def perpetuals() -> list[Contract]:
    """The three perpetuals, BTC-PERPETUAL first."""
    names = {BTC_COIN: "BTC-PERPETUAL", ETH_COIN: "ETH-PERPETUAL", BTC_DOLLAR: "BTC_USDC-PERPETUAL"}
    return [contract_of(_future(name, _FUTURES[block])) for block, name in names.items()]


def listed_for(expiry: int, index_usd: dict[str, float]) -> list[Contract]:
    """Future and options of BTC and ETH that expire at `expiry` (ns), with strikes around the index (dollars)."""
    made = []
    for block, terms in _OPTIONS.items():
        coin = terms.underlying
        name = f"{coin}-{day_name(expiry)}"
        made.append(contract_of(_future(name, _FUTURES[block], expiry)))
        step = _STRIKE_STEPS[coin][period_of(expiry)]
        centre = max(round(index_usd[coin] / step), STRIKES // 2 + 1)
        for strike in range((centre - STRIKES // 2) * step, (centre + STRIKES // 2) * step + 1, step):
            away = (strike / index_usd[coin] - 1) * 10
            volatility = round(_VOLATILITY[coin] * (1 + 0.02 * away * away - 0.03 * away), 4)
            for kind in (1, -1):
                made.append(contract_of(_option(name, strike, kind, terms, expiry), volatility))
    return made


def next_expiries(now_ns: int, standing: Collection[int]) -> list[int]:
    """Expiries (ns) to list at `now_ns` beside those `standing`, so that a day's, a Friday's and a month's stand.

    The day's is the next 08:00 UTC at least two hours away, the week's the Friday after it; the third, the last Friday
    of the next month unless a standing one is later than the week's.
    """
    now = datetime.fromtimestamp(now_ns // 10**9, UTC)
    day = now.replace(hour=EXPIRY_HOUR, minute=0, second=0)
    while day < now + LEAST_LIFE:
        day += timedelta(days=1)
    week = day + timedelta(days=(_FRIDAY - day.weekday() - 1) % 7 + 1)
    wanted = [_ns(day), _ns(week)]
    if max(standing, default=0) <= wanted[-1]:
        wanted.append(_ns(_last_friday_of_next_month(day)))
    return [expiry for expiry in wanted if expiry not in standing]


def carry(spec: Instrument, now_ns: int) -> float:
    """Basis of a future over the index (0.01 is 1 %): what is left to run at 4 % a year."""
    return _CARRY * max(0, spec.expiry - now_ns) / (365 * DAY_NS)


def contract_of(spec: Instrument, volatility: float = 0.0) -> Contract:
    """The contract that a specification of this catalogue belongs to; `volatility` annual."""
    terms = terms_of(spec)
    tick, lot, delivery = (number / of for number, of in (terms.tick, terms.lot, terms.delivery_tick))
    return Contract(
        spec, terms.underlying, tick, terms.price_unit, lot, terms.lot_unit, delivery, volatility=volatility
    )  # fmt: skip


def terms_of(spec: Instrument) -> Terms:
    """The family of a specification of this catalogue."""
    return (_OPTIONS if spec.product == Product.OPTION else _FUTURES)[spec.block]


def note_of(instrument: int, contract: Contract, created_ns: int) -> dict[str, Any]:
    """What a client is told of a contract: the note journalled with its listing.

    A tick is `tick[0] / tick[1]` of `quote`, a lot `lot[0] / lot[1]` of the unit of amounts, as `contract_size` is;
    `strike` in dollars, `delivery_tick` dollars for a tick of delivery prices, `created_ms` since the epoch.
    """
    spec, terms = contract.spec, terms_of(contract.spec)
    option = spec.product == Product.OPTION
    counter = terms.counter
    note: dict[str, Any] = {
        "note": "listing",
        "instrument": instrument,
        "name": spec.name,
        "kind": "option" if option else "future",
        "type": "linear" if counter == "USDC" else "reversed",
        "base": terms.underlying,
        "counter": counter,
        "quote": terms.price_unit if option else counter,
        "settlement": terms.settlement,
        "index": f"{terms.underlying}_{counter}".lower(),
        "tick": list(terms.tick),
        "lot": list(terms.lot),
        "contract_size": terms.contract_size,
        "period": period_of(spec.expiry),
        "created_ms": created_ns // 10**6,
        "underlying": terms.underlying,
        "delivery_tick": list(terms.delivery_tick),
    }
    if option:
        note["strike"] = spec.strike * terms.delivery_tick[0] / terms.delivery_tick[1]
    return note


def period_of(expiry: int) -> str:
    """One of perpetual, month (a month's last Friday), week (another Friday), day; `expiry` in ns, 0 for never."""
    if not expiry:
        return "perpetual"
    moment = datetime.fromtimestamp(expiry // 10**9, UTC)
    if moment.weekday() != _FRIDAY:
        return "day"
    return "month" if (moment + timedelta(days=7)).month != moment.month else "week"


def day_name(expiry: int) -> str:
    """A day as it stands in a contract's name: 4DEC26."""
    moment = datetime.fromtimestamp(expiry // 10**9, UTC)
    return f"{moment.day}{moment:%b%y}".upper()


def _future(name: str, terms: Terms, expiry: int = 0) -> Instrument:
    inverse = terms.settlement != "USDC"
    start = COINS[terms.underlying] * terms.tick[1] / terms.tick[0]
    low, high = (start / NARROW, start * WIDE) if inverse else (start / WIDE, start * NARROW)
    product, form = Product.FUTURE if expiry else Product.PERPETUAL, Form.INVERSE if inverse else Form.LINEAR
    size = 10**9 if inverse else 10**8
    return Instrument(
        name, product, form, terms.currency, terms.block, terms.multiplier, round(low), round(high), size, expiry
    )  # fmt: skip


def _option(name: str, strike: int, kind: int, terms: Terms, expiry: int) -> Instrument:
    ticks = strike * terms.delivery_tick[1] // terms.delivery_tick[0]
    return Instrument(
        f"{name}-{strike}-{'C' if kind > 0 else 'P'}", Product.OPTION, Form.LINEAR, terms.currency, terms.block,
        terms.multiplier, 1, _OPTION_PRICE_MAX, _OPTION_LOTS_MAX, expiry, ticks, kind, Form.INVERSE, terms.lot_atoms,
    )  # fmt: skip


def _last_friday_of_next_month(moment: datetime) -> datetime:
    first = moment.replace(day=1)
    for _ in range(2):
        first = (first + timedelta(days=32)).replace(day=1)
    last = first - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - _FRIDAY) % 7)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9
