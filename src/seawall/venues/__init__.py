"""A venue elsewhere that speaks Deribit's dialect: what it says as commands for our engine, and the connections to it.

quotes.py       what it says of prices, read and doubted
contracts.py    what it says of an instrument, as our specification and note, exact
mirror.py       its catalogue, index prices and marks as commands, going on over restarts
credentials.py  where a venue is, and the keys we have there
connection.py   WebSockets and requests; needs an extra, so it is imported by itself
ccxt_dialect.py, ccxt_exchange.py   another kind of venue through ccxt, by itself and in a process of its own
"""

from seawall.venues.contracts import DOLLARS, Offer, Terms, atoms_decimals
from seawall.venues.mirror import Mirror, Shadow
from seawall.venues.quotes import Quote, quotes_of

__all__ = ["DOLLARS", "Mirror", "Offer", "Quote", "Shadow", "Terms", "atoms_decimals", "quotes_of"]
