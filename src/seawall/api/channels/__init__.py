"""Subscriptions: which session hears what.

hub.py      all subscriptions: who reads which channel, when it is due, what is sent
channel.py  what every channel has: readers, its topics, the least time between two messages
names.py    the channels that there are, by the dialect's names
books.py    books, whole and to a depth; market.py tickers, quotes, trades, candles, indexes; states.py of instruments
            and platform; user.py of one account
"""

from seawall.api.channels.hub import Hub

__all__ = ["Hub"]
