"""Prices from outside: recordings of public markets, and their import as commands.

recordings.py   Binance's raw streams as jsonl.gz, read and checked whole
ordering.py     where each trade stands among the updates of the book
listing.py      the contract a recording is folded into, and its publications
ladder.py       one side of a book by price
orders.py       the importer's own orders, accounts and commands
importing.py    levels become orders, trades become aggressors
fidelity.py     what was reproduced, and why the rest was not
index.py, mark.py, futures_mark.py, funding.py   index, mark price and funding by the rules that venues publish
"""

from seawall.prices.fidelity import Cause, Fidelity, Gap
from seawall.prices.importing import Importer
from seawall.prices.orders import Batch
from seawall.prices.recordings import Recording, read_recording

__all__ = ["Batch", "Cause", "Fidelity", "Gap", "Importer", "Recording", "read_recording"]
