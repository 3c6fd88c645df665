"""The dialect in front of one account at an exchange that ccxt speaks: a process of its own, on loopback, before which
desk mode stands as before any venue.

adapter.py    the path of a call, and the turn of orders
methods.py    what is spoken, by name
channels.py   what is told by itself
serving.py    the process

What it does not speak is answered 10033, what nobody speaks -32601. Nothing is kept: after a restart the exchange is
asked.
"""
