"""A market of every kind of contract, for the tests of this room: BTC settled in coin and in USDC, ETH in USDC."""

import numpy as np

from seawall.engine.reference import Reference
from seawall.risk import BlockMarket, CurrencyMarket, InstrumentMarket, MarketView, mark_price
from seawall.risk.black76 import NANOSECONDS_PER_DAY
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.records import Kind, command

NOW = 1_790_000_000 * 10**9
BTC, USDC = 0, 1
BTC_COIN, BTC_LINEAR, ETH_LINEAR = 0, 1, 2
SPOT, ETH_SPOT = 60_000.0, 3_000.0

CURRENCIES = {
    BTC: CurrencyMarket(price_usd=SPOT, decimals=8, haircut=0.1, markup=0.05),
    USDC: CurrencyMarket(price_usd=1.0, decimals=6, haircut=0.0, markup=0.0),
}
BLOCKS = {
    BTC_COIN: BlockMarket("BTC", SPOT),
    BTC_LINEAR: BlockMarket("BTC", SPOT),
    ETH_LINEAR: BlockMarket("ETH", ETH_SPOT),
}


def inverse_future(days=0):
    """Lots of 10 USD, ticks of 0.5 USD: K = 10 USD * 1e8 atoms * 2 ticks per USD."""
    product = Product.FUTURE if days else Product.PERPETUAL
    expiry = NOW + int(days * NANOSECONDS_PER_DAY)
    return Instrument(
        f"BTC-{days}", product, Form.INVERSE, BTC, BTC_COIN, 2 * 10**9, 20_000, 600_000, 10**6, expiry if days else 0
    )


def linear_perpetual(block=BTC_LINEAR):
    """Lots of 0.001 coin, ticks of 0.5 USD (BTC) or 0.05 USD (ETH): atoms per lot and tick 500 or 50."""
    multiplier, top = (500, 600_000) if block == BTC_LINEAR else (50, 300_000)
    return Instrument(f"PERP-{block}", Product.PERPETUAL, Form.LINEAR, USDC, block, multiplier, 1_000, top, 10**5)


def coin_option(strike_usd, option_type, days):
    """Lots of 0.1 BTC; premium ticks of 0.0001 BTC a coin, so 1,000 atoms a lot; strike ticks of 0.5 USD."""
    return Instrument(
        f"BTC-{strike_usd}-{option_type}-{days}",
        Product.OPTION,
        Form.LINEAR,
        BTC,
        BTC_COIN,
        1_000,
        1,
        50_000,
        10**5,
        NOW + int(days * NANOSECONDS_PER_DAY),
        2 * strike_usd,
        option_type,
        Form.INVERSE,
        10**7,
    )


def linear_option(strike_usd, option_type, days):
    """Lots of 0.01 BTC; premium ticks of 5 USD a coin, so 50,000 atoms a lot; strike ticks of 0.5 USD: 5,000 atoms."""
    return Instrument(
        f"L-{strike_usd}-{option_type}-{days}",
        Product.OPTION,
        Form.LINEAR,
        USDC,
        BTC_LINEAR,
        50_000,
        1,
        40_000,
        10**5,
        NOW + int(days * NANOSECONDS_PER_DAY),
        2 * strike_usd,
        option_type,
        Form.LINEAR,
        5_000,
    )


def listed(spec, basis=0.0, volatility=0.6, spot=SPOT, rate=0.0):
    """The instrument with a mark: futures at the index plus basis, options at the model's price."""
    ticks_per_usd = 20 if spec.block == ETH_LINEAR else 2
    index = ticks_per_usd * (ETH_SPOT if spec.block == ETH_LINEAR else spot)
    if spec.product != Product.OPTION:
        return InstrumentMarket(spec, index * (1 + basis), index)
    forward = index * (1 + basis)
    mark = mark_price(spec, forward, volatility, NOW)
    return InstrumentMarket(spec, mark, forward, volatility, index=index, rate=rate)


def market(instruments):
    """A view holding the listed instruments, numbered in order, and the blocks they need."""
    blocks = {item.spec.block: BLOCKS[item.spec.block] for item in instruments}
    return MarketView(NOW, CURRENCIES, blocks, dict(enumerate(instruments)))


def varied_market(options=20, seed=1):
    """Futures, perpetuals and a spread of options on all blocks."""
    rng = np.random.default_rng(seed)
    items = [listed(inverse_future()), listed(inverse_future(45), 0.02), listed(linear_perpetual(), 0.001)]
    items.append(listed(linear_perpetual(ETH_LINEAR)))
    for number in range(options):
        build = (coin_option, linear_option)[number % 2]
        strike = 1_000 * int(rng.integers(35, 96))
        spec = build(strike, int(rng.choice([-1, 1])), float(rng.choice([0.3, 2, 9, 40, 200])))
        items.append(listed(spec, float(rng.uniform(-0.01, 0.05)), float(rng.uniform(0.2, 1.4))))
    return market(items)


def traded(view, publication, lots, balances):
    """The reference engine after account 3 bought `lots` by instrument from account 4 at the mark; both were given
    `balances`, atoms by currency."""
    records, attachments = [], []

    def tell(kind, attachment=b"", **fields):
        record = command(kind, seq=len(records) + 1, time=view.time_ns, attachment=len(attachment), **fields)
        records.append(record)
        attachments.append(attachment)

    for currency, item in view.currencies.items():
        tell(Kind.CURRENCY, currency=currency, amount=item.decimals)
    for fee_class in range(bounds.FEE_CLASSES):
        tell(Kind.TIER, tier=0, currency=fee_class)
    for number, item in view.instruments.items():
        tell(Kind.INSTRUMENT, item.spec.encode(), instrument=number)
    for account in (3, 4):
        tell(Kind.ACCOUNT, account=account)
        for currency, amount in balances.items():
            tell(Kind.DEPOSIT, account=account, currency=currency, amount=amount)
    tell(Kind.PUBLISH, publication.encode(), version=1)
    for number, size in lots.items():
        price = view.instruments[number].mark_ticks
        for account, side in ((3, 1 if size > 0 else -1), (4, -1 if size > 0 else 1)):
            tell(Kind.ORDER, account=account, instrument=number, side=side, quantity=abs(size), price=price)
    engine = Reference()
    engine.step(np.concatenate(records), b"".join(attachments))
    return engine
