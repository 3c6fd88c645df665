"""A margin model as the publisher of a simulated market."""

from seawall.node.configuration import Configuration
from seawall.risk import BlockMarket, CurrencyMarket, InstrumentMarket, MarketView, mark_price
from seawall.sim import COINS, Contract, Prices, Publish
from seawall.vocabulary.instruments import Product


def publisher(configuration: Configuration) -> Publish:
    """The function a simulated market publishes through: prices in, an encoded publication out."""
    model, margin = configuration.model(), configuration.margin

    def publish(prices: Prices) -> bytes:
        currencies = {
            number: CurrencyMarket(prices.index_usd[name], decimals, margin.coin_haircut, margin.coin_markup)
            if name in COINS
            else CurrencyMarket(1.0, decimals, 0.0, 0.0)
            for number, (name, decimals) in enumerate(prices.currencies)
        }
        blocks = {
            contract.spec.block: BlockMarket(contract.underlying, prices.index_usd[contract.underlying])
            for contract in prices.contracts.values()
        }
        instruments = {number: _listed(contract, prices) for number, contract in prices.contracts.items()}
        return model.publish(MarketView(prices.time_ns, currencies, blocks, instruments)).encode()

    return publish


def _listed(contract: Contract, prices: Prices) -> InstrumentMarket:
    """A contract with its mark: futures at the index and their basis, options by the model's formula."""
    forward = prices.index_usd[contract.underlying] / contract.delivery_tick
    if contract.spec.product != Product.OPTION:
        return InstrumentMarket(contract.spec, forward * (1 + contract.basis), forward)
    mark = mark_price(contract.spec, forward, contract.volatility, prices.time_ns)
    return InstrumentMarket(contract.spec, mark, forward, contract.volatility)
