"""What the simulated venue lists, with the units a person reads: prices in dollars or coins, lots in dollars or coins.

BTC-PERPETUAL, BTC-<date>       lots of 10 USD, ticks of 0.5 USD, settled in BTC
ETH-PERPETUAL                   lots of 1 USD, ticks of 0.05 USD, settled in ETH
BTC_USDC-PERPETUAL              lots of 0.001 BTC, ticks of 0.5 USD, settled in USDC
BTC-<date>-<strike>-C|P         lots of 0.1 BTC, premium ticks of 0.0001 BTC, settled in BTC
BTC_USDC-<date>-<strike>-C|P    lots of 0.01 BTC, premium ticks of 5 USD, settled in USDC
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from seawall.vocabulary.instruments import Form, Instrument, Product

COINS: Final = {"BTC": 60_000.0, "ETH": 3_000.0}
"""Underlyings and their index price at the start, in dollars."""

CURRENCIES: Final = (("BTC", 8), ("ETH", 8), ("USDC", 6))
"""Settlement currencies by number: name and decimals of an atom."""

BTC, ETH, USDC = 0, 1, 2
BTC_COIN, ETH_COIN, BTC_DOLLAR = 0, 1, 2
"""Blocks: one for each underlying and settlement currency."""

START: Final = datetime(2026, 3, 2, 6, tzinfo=UTC)
START_NS: Final = int(START.timestamp()) * 10**9
"""When every simulation starts: two hours before a day's expiry."""

NEAR_EXPIRY: Final = START + timedelta(hours=2)
FAR_EXPIRY: Final = START + timedelta(days=25, hours=2)


@dataclass(frozen=True, slots=True)
class Contract:
    """One listing: the engine's specification, and what a tick and a lot are to people.

    `tick` in `price_unit` (USD, or BTC for coin-settled premiums), `lot` in `lot_unit`; `delivery_tick` dollars for
    one tick of a strike or delivery price; `basis` of the mark over the index (0.01 is 1 %), `volatility` annual.
    """

    spec: Instrument
    underlying: str
    tick: float
    price_unit: str
    lot: float
    lot_unit: str
    delivery_tick: float
    basis: float = 0.0
    volatility: float = 0.0

    def ticks(self, price: float) -> int:
        """The whole tick nearest to a price in `price_unit`, within the band."""
        return min(max(round(price / self.tick), self.spec.price_min), self.spec.price_max)

    def lots(self, quantity: float) -> int:
        """Whole lots nearest to a quantity in `lot_unit`, at least one."""
        return max(1, round(quantity / self.lot))


def contracts() -> tuple[Contract, ...]:
    """Every contract by instrument number."""
    near = [_inverse_future(NEAR_EXPIRY, 0.0002)]
    far = [_inverse_future(FAR_EXPIRY, 0.004)]
    options = [_coin_option(NEAR_EXPIRY, 60_000, kind, 0.55) for kind in (1, -1)]
    options += [_coin_option(FAR_EXPIRY, strike, kind, 0.60) for strike in (58_000, 62_000) for kind in (1, -1)]
    options += [_dollar_option(FAR_EXPIRY, 60_000, kind, 0.60) for kind in (1, -1)]
    return (*_perpetuals(), *near, *far, *options)


def _perpetuals() -> tuple[Contract, ...]:
    return (
        Contract(
            Instrument(
                "BTC-PERPETUAL", Product.PERPETUAL, Form.INVERSE, BTC, BTC_COIN, 2 * 10**9, 20_000, 600_000, 10**7
            ),
            "BTC", 0.5, "USD", 10.0, "USD", 0.5,
        ),
        Contract(
            Instrument(
                "ETH-PERPETUAL", Product.PERPETUAL, Form.INVERSE, ETH, ETH_COIN, 2 * 10**9, 10_000, 300_000, 10**8
            ),
            "ETH", 0.05, "USD", 1.0, "USD", 0.05,
        ),
        Contract(
            Instrument(
                "BTC_USDC-PERPETUAL", Product.PERPETUAL, Form.LINEAR, USDC, BTC_DOLLAR, 500, 20_000, 500_000, 10**6
            ),
            "BTC", 0.5, "USD", 0.001, "BTC", 0.5,
        ),
    )  # fmt: skip


def _inverse_future(expiry: datetime, basis: float) -> Contract:
    name = f"BTC-{_day(expiry)}"
    spec = Instrument(
        name, Product.FUTURE, Form.INVERSE, BTC, BTC_COIN, 2 * 10**9, 20_000, 600_000, 10**7, _ns(expiry)
    )  # fmt: skip
    return Contract(spec, "BTC", 0.5, "USD", 10.0, "USD", 0.5, basis)


def _coin_option(expiry: datetime, strike: int, kind: int, volatility: float) -> Contract:
    name = f"BTC-{_day(expiry)}-{strike}-{'C' if kind > 0 else 'P'}"
    spec = Instrument(
        name, Product.OPTION, Form.LINEAR, BTC, BTC_COIN, 1_000, 1, 20_000, 10**5, _ns(expiry),
        2 * strike, kind, Form.INVERSE, 10**7,
    )  # fmt: skip
    return Contract(spec, "BTC", 0.0001, "BTC", 0.1, "BTC", 0.5, volatility=volatility)


def _dollar_option(expiry: datetime, strike: int, kind: int, volatility: float) -> Contract:
    name = f"BTC_USDC-{_day(expiry)}-{strike}-{'C' if kind > 0 else 'P'}"
    spec = Instrument(
        name, Product.OPTION, Form.LINEAR, USDC, BTC_DOLLAR, 50_000, 1, 40_000, 10**5, _ns(expiry),
        2 * strike, kind, Form.LINEAR, 5_000,
    )  # fmt: skip
    return Contract(spec, "BTC", 5.0, "USD", 0.01, "BTC", 0.5, volatility=volatility)


def _day(moment: datetime) -> str:
    return moment.strftime("%d%b%y").upper()


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9
