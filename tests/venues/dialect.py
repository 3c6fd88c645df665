"""Objects of the dialect for the tests of this room: three as Deribit serves them, and our own development venue."""

import numpy as np

from seawall.api import shapes, tickers
from seawall.api.view import View
from seawall.engine.reference import Reference
from seawall.node import Configuration
from seawall.node.node import Group
from seawall.node.publishing import Simulated
from seawall.sim import LiveMarket
from seawall.venues import quotes_of
from seawall.vocabulary.records import Kind, command

COMMISSION = {"maker_commission": 0.0, "taker_commission": 0.0005}
ALWAYS = {"is_active": True, "state": "open", "creation_timestamp": 1_750_924_810_000}
PERPETUAL = {
    "instrument_name": "BTC-PERPETUAL", "kind": "future", "instrument_type": "reversed", "base_currency": "BTC",
    "quote_currency": "USD", "counter_currency": "USD", "settlement_currency": "BTC", "settlement_period": "perpetual",
    "price_index": "btc_usd", "tick_size": 0.5, "tick_size_steps": [], "contract_size": 10, "min_trade_amount": 10,
    "expiration_timestamp": 32503708800000, **ALWAYS, **COMMISSION,
}  # fmt: skip
OPTION = {
    "instrument_name": "BTC-26JUN26-100000-C", "kind": "option", "instrument_type": "reversed", "base_currency": "BTC",
    "quote_currency": "BTC", "counter_currency": "USD", "settlement_currency": "BTC", "settlement_period": "month",
    "price_index": "btc_usd", "tick_size": 0.0001, "tick_size_steps": [{"tick_size": 0.0005, "above_price": 0.005}],
    "contract_size": 1, "min_trade_amount": 0.1, "expiration_timestamp": 1782460800000, "strike": 100000,
    "option_type": "call", **ALWAYS, "maker_commission": 0.0003, "taker_commission": 0.0003,
}  # fmt: skip
LINEAR = {
    "instrument_name": "BTC_USDC-PERPETUAL", "kind": "future", "instrument_type": "linear", "base_currency": "BTC",
    "quote_currency": "USDC", "counter_currency": "USDC", "settlement_currency": "USDC",
    "settlement_period": "perpetual", "price_index": "btc_usdc", "tick_size": 1, "tick_size_steps": [],
    "contract_size": 0.001, "min_trade_amount": 0.001, "expiration_timestamp": 32503708800000, **ALWAYS, **COMMISSION,
}  # fmt: skip
FUTURE = PERPETUAL | {
    "instrument_name": "BTC-26JUN26",
    "settlement_period": "month",
    "expiration_timestamp": 1782460800000,
}
LINEAR_OPTION = OPTION | {
    "instrument_name": "XRP_USDC-26JUN26-0d625-P", "instrument_type": "linear", "base_currency": "XRP",
    "quote_currency": "USDC", "counter_currency": "USDC", "settlement_currency": "USDC", "price_index": "xrp_usdc",
    "tick_size": 0.0001, "contract_size": 1000, "min_trade_amount": 1000, "strike": 0.625, "option_type": "put",
}  # fmt: skip
CURRENCIES = [
    {"currency": name, "decimals": decimals} for name, decimals in (("BTC", 8), ("ETH", 6), ("USDC", 6), ("EURR", 6))
]


class DevVenue:
    """The market of `seawall serve --dev`, asked as a venue is."""

    def __init__(self, start_ns):
        self.engine, self.view = Reference(), View()
        self.market = LiveMarket(7, Simulated(Configuration()), trades=False)
        self.now, self.seq = start_ns, 0
        self._take(command(Kind.RULES, version=2), b"")
        self._take(*self.market.opening(start_ns))

    def _take(self, commands, attachments):
        commands["seq"] = np.arange(self.seq + 1, self.seq + 1 + len(commands))
        commands["time"] = self.now
        self.seq += len(commands)
        events = self.engine.step(commands, attachments)
        self.market.observe(events)
        self.view.take(Group(commands, attachments, events))

    def step(self, now_ns):
        self.now = now_ns
        self._take(*self.market.step(now_ns))

    def _open(self):
        return [listing for listing in self.view.listings.values() if not listing.expired]

    def instruments(self):
        return [shapes.instrument_object(listing, 0.0, 0.0005, state="open") for listing in self._open()]

    def currencies(self):
        return [{"currency": name, "decimals": decimals} for name, decimals in self.view.currencies.values()]

    def quotes(self):
        rows = [tickers.summary(self.view, listing) for listing in self._open()]
        quotes, refused = quotes_of(rows, self.view.index_prices)
        assert not refused
        return quotes

    def delivered(self):
        expired = [listing for listing in self.view.listings.values() if listing.expired]
        return {listing.name: listing.delivery_price for listing in expired}
