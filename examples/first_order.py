"""The first order and the first refusal on a dev venue, with ccxt as it is: only the URL is changed.

seawall serve --dev > ready.json &
python examples/first_order.py ready.json
"""

import json
import sys
import time
from pathlib import Path

import ccxt


def main(ready: Path) -> None:
    """Place an order, be refused another, cancel the first."""
    while not ready.is_file() or not ready.read_text().endswith("\n"):  # the venue writes one line when it is ready
        time.sleep(0.1)
    venue = json.loads(ready.read_text())
    alice = venue["accounts"][0]
    exchange = ccxt.deribit({"apiKey": alice["key"], "secret": alice["secret"]})
    exchange.urls["api"]["rest"] = venue["http"]

    print(f"alice has {exchange.fetch_balance()['BTC']['total']} BTC")
    price = round(exchange.fetch_ticker("BTC/USD:BTC")["markPrice"] * 0.99 * 2) / 2
    order = exchange.create_order("BTC/USD:BTC", "limit", "buy", 100, price, {"label": "my first"})
    print(f"order {order['id']} is {order['status']}: buy 100 USD of BTC-PERPETUAL at {order['price']:,}")

    try:
        exchange.create_order("BTC/USD:BTC", "limit", "buy", 200_000_000, price)
    except ccxt.InsufficientFunds as refused:
        told = json.loads(str(refused).removeprefix("deribit "))["error"]["data"]
        asked, had = (number / 1e6 for number in told["numbers"])
        print(f"refused, {told['control']}: it would take ${asked:,.2f} of margin, the account is worth ${had:,.2f}")
    print(f"cancelled: {exchange.cancel_order(order['id'])['status']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
