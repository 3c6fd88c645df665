"""The doors of a venue: the trading dialect and operations, and the view of the journal they answer from.

serving.py      one process: node, writer, doors, dev market
door.py         HTTP and WebSocket; session.py one connection
rpc.py          JSON-RPC, the table of methods; errors.py the table of errors
service.py      what methods work with, the path of a command to its answer
methods/        the methods, by what they are about
channels/       subscriptions
tickers.py      objects of market data; statistics.py candles, funding, volatility; options.py greeks
funding.py      what perpetuals accrue between two postings
view.py         orders, trades, books, folded from durable frames; listing.py their units, shapes.py their objects
ledger.py       averages, gains, the log of money; portfolio.py and requirements.py summaries and margins
arrangements.py what accounts arranged: protection, cancel on disconnect, self-trading
resending.py    orders sent again after a cut; rates.py what is turned away at the edge
access.py       keys, tokens, signatures; keystore.py where they rest; credentials.py the header of a request
operations/     the other door: roles, halts, proposals and their signatures, alerts, status
commands.py     records of commands
"""
