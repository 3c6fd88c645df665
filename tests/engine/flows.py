"""Random commands of every kind, good and bad, from one seed; a flow knows no engine, only what it sent itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from worlds import EXPIRY, MARKS, SPECS, UPSTREAM, Script, opening, publication

from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.records import (
    FLAG_APPROVED,
    FLAG_DISCONNECTED,
    FLAG_LINKED,
    FLAG_PACKAGE,
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    RULES_FOLDED,
    Commands,
    Kind,
    Limit,
    OrderType,
    Role,
    Scope,
    TimeInForce,
    VenueState,
)

GTC, IOC, FOK, GTD = TimeInForce
STOPS = tuple(OrderType)[2:]
BLOCKS = (0, 1)
NEWEST = max(RULES_FOLDED)
"""Rules that most flows are under, some from the middle on, with positions and publications of earlier ones."""

KEPT = 200
"""Orders that cancels and edits choose from."""

LIMITS: dict[Limit, Callable[[random.Random], tuple[int, int, int]]] = {
    Limit.ORDER_QUANTITY: lambda rng: (wide(rng, 1, 5), 0, 0),
    Limit.ORDER_NOTIONAL: lambda rng: (wide(rng, 7, 12), 0, 0),
    Limit.MESSAGES: lambda rng: (wide(rng, 3, 5), rng.choice((1, 2, 20)), 0),
    Limit.CANCELS: lambda rng: (wide(rng, 3, 5), rng.choice((1, 2, 20)), 0),
    Limit.REPEATS: lambda rng: (rng.randint(1, 3), 0, wide(rng, 5, 7)),
    Limit.FORBIDDEN: lambda rng: (rng.randint(1, 7), 0, 0),
    Limit.OPEN_ORDERS: lambda rng: (rng.randint(0, 12), 0, 0),
    Limit.OPEN_NOTIONAL: lambda rng: (wide(rng, 8, 12), 0, 0),
    Limit.POSITION: lambda rng: (wide(rng, 1, 5), 0, 0),
    Limit.EXPOSURE: lambda rng: (wide(rng, 8, 12), 0, 0),
    Limit.DRAWDOWN: lambda rng: (wide(rng, 5, 9), rng.randint(1, 3), 0),
    Limit.COLLAR: lambda rng: (wide(rng, 2, 5), rng.randint(1, 100), 0),
    Limit.WINDOW_COLLAR: lambda rng: (wide(rng, 2, 5), 0, wide(rng, 4, 7)),
    Limit.OPEN_INTEREST: lambda rng: (wide(rng, 1, 5), 0, 0),
    Limit.VELOCITY: lambda rng: (wide(rng, 0.5, 3), rng.randint(1, 2), wide(rng, 4, 7)),
    Limit.STALE: lambda rng: (wide(rng, 4, 7), 0, 0),
    Limit.DIVERGENCE: lambda rng: (wide(rng, 3, 5), 0, 0),
}
"""Parameters of a limit, loose and tight: amount, quantity, until."""


def wide(rng: random.Random, low: float, high: float) -> int:
    """A number between two powers of ten, each size as likely."""
    return int(10 ** rng.uniform(low, high))


class Sent(NamedTuple):
    """An order as it was sent; perhaps it was refused."""

    seq: int
    account: int
    instrument: int
    side: int
    price: int
    quantity: int


class RandomFlow:
    """Random commands of every kind around the marks. One seed in 24 stays under each of the rules before."""

    def __init__(self, seed: int, accounts: int = 6) -> None:
        self.rng = random.Random(seed)
        older = RULES_FOLDED[:-1]
        self.rules = older[seed % 24] if seed % 24 < len(older) else NEWEST
        self.adopts = seed % 4 == 2
        self.script = opening(Script(), accounts, self.rng)
        self.clients = list(range(3, 3 + accounts))
        self.next_account = 3 + accounts
        self.groups: list[int] = []
        self.upstream = -1
        self.version = 1
        self.marks = list(MARKS)
        self.recent: list[Sent] = []
        self.sent: list[Sent] = []
        self.elsewhere: tuple[int, ...] = ()
        self.expired: set[int] = set()
        self.later: list[tuple[int, Callable[[], None]]] = []
        self.made = 0
        self._kinds: list[tuple[float, Callable[[], None]]] = [
            (60, self._order),
            (16, self._cancel),
            (1.0, self._cancel_all),
            (1.5, self._deposit),
            (2.5, self._withdraw),
            (1.5, self._publish),
            (0.7, self._funding),
            (0.4, self._settle),
            (0.15, self._expire),
            (0.3, self._state),
            (0.3, self._catalogue),
            (0.2, self._garbage),
        ]
        if self.rules == 1:
            return
        self._open_rules_2()
        self._kinds += [
            (10, self._edit),
            (2.5, self._chain),
            (4.0, self._package),
            (4.0, self._at_the_venue),
            (2.5, self._index),
            (3.0, self._limit),
            (0.5, self._dead_man),
            (0.6, self._protect),
            (0.4, self._protect_reset),
            (0.3, self._rearm),
            (0.08, self._kill),
            (0.2, self._wire),
            (0.3, self._pause),
        ]
        if self.rules > 2:
            self._kinds += [
                (2.0, self._book),
                (0.15, self._book_far),
                (0.1, self._book_much),
            ]

    def batch(self, count: int) -> tuple[Commands, bytes]:
        """At least `count` commands (the first batch opens the world besides); no chain is cut."""
        weights = [weight for weight, _ in self._kinds]
        for _, make in self.rng.choices(self._kinds, weights, k=count):
            self.made += 1
            due = [undo for at, undo in self.later if at <= self.made]
            self.later = [(at, undo) for at, undo in self.later if at > self.made]
            for undo in due:
                undo()
            make()
        return self.script.take()

    def _open_rules_2(self) -> None:
        """Groups, memberships, the upstream account and its instruments."""
        rng = self.rng
        adopted = rng.randrange(3, NEWEST) if self.rules == NEWEST and self.adopts else self.rules
        self.script.add(Kind.RULES, version=adopted)
        if adopted < self.rules:
            self.later.append((1000, lambda: self.script.add(Kind.RULES, version=self.rules, flags=1)))
        for role in (Role.DESK, Role.FIRM, Role.OWNER):
            self.groups.append(self._define(role))
        self.upstream = self._define(Role.UPSTREAM)
        self.script.add(Kind.DEPOSIT, account=self.upstream, currency=0, amount=10**12)
        self.elsewhere = UPSTREAM[: rng.choice((1, 2, 2))]
        for instrument in self.elsewhere:
            self.script.add(Kind.UPSTREAM, instrument=instrument, account=self.upstream)
        for client in self.clients:
            for group in self.groups[:2]:
                if rng.random() < 0.5:
                    self.script.add(Kind.MEMBER, account=client, order_id=group)
        for client in self.clients[: len(self.clients) // 3]:
            self.script.add(Kind.MEMBER, account=client, order_id=self.groups[2])
        for client in rng.sample(self.clients, len(self.clients) // 2):
            self._protect(client)

    def _define(self, role: Role) -> int:
        self.script.add(Kind.ACCOUNT, account=self.next_account, tier=self.rng.randrange(2), type=role)
        self.next_account += 1
        return self.next_account - 1

    def _soon(self, undo: Callable[[], None], least: int = 10, most: int = 150) -> None:
        self.later.append((self.made + self.rng.randint(least, most), undo))

    def _odd(self, chance: float) -> bool:
        return self.rng.random() < chance

    def _account(self) -> int:
        if self._odd(0.004):
            return self.rng.choice((*self.groups, self.upstream, 1, self.rng.randint(-1, 99)))
        return self.rng.choice(self.clients)

    def _number(self) -> int:
        if self._odd(0.005):
            return self.rng.randint(-2, 9)
        number = self.rng.randrange(len(SPECS))
        return self.rng.choice((0, 1, 5)) if number in self.expired and self._odd(0.9) else number

    # -- orders ------------------------------------------------------------------------------------------------------

    def _plain(self) -> dict[str, int]:
        """A limit order as there was under rules 1."""
        rng, number = self.rng, self._number()
        mark = self.marks[number] if 0 <= number < len(SPECS) else 100
        spread = rng.choice((3, 10, 10, 40, 400))
        price = max(0, mark + rng.randint(-spread, spread) * max(1, mark // 4000))
        if self._odd(0.01):
            price = rng.choice((0, 1, -5, 2**30, 2**62, mark * 10, mark // 10))
        quantity = rng.choice((1, 2, 5, 20, 100, rng.randint(1, 3000), rng.randint(1, 100_000)))
        if self._odd(0.005):
            quantity = rng.choice((0, -1, 2**62, 10**6 + 1))
        return {
            "account": self._account(),
            "instrument": number,
            "side": 0 if self._odd(0.001) else rng.choice((-1, 1)),
            "tif": IOC if rng.random() < 0.3 else GTC,
            "price": price,
            "quantity": quantity,
            "client_id": rng.choice((0, 0, rng.randint(1, 500))),
        }

    def _order(self) -> None:
        order = self._plain()
        if self.rules > 1:
            self._dress(order)
        elif self._odd(0.01):
            order[self.rng.choice(("type", "flags", "display", "until", "strategy", "label", "trigger"))] = 1
        self._send(order)

    def _send(self, fields: dict[str, int]) -> int:
        seq = self.script.add(Kind.ORDER, **fields)
        sent = Sent(seq, *(fields[name] for name in Sent._fields[1:]))
        self.recent = [*self.recent[-KEPT:], sent]
        if sent.instrument in UPSTREAM and fields.get("type", 0) < 2:
            self.sent = [*self.sent[-40:], sent]
            self._soon(lambda: self._settle_upstream(sent), 100, 400)
            if sent.instrument in self.elsewhere and self.rules > 2 and self._odd(0.3):
                self._soon(lambda: self._acknowledge(sent), 1, 20)
        return seq

    def _dress(self, order: dict[str, int]) -> None:
        """Type, time in force, flags and the rest; mostly such as go together."""
        rng, flags = self.rng, 0
        kind = rng.choices((OrderType.LIMIT, OrderType.MARKET, *STOPS), (75, 6, 4, 4, 4, 4, 4))[0]
        tif = rng.choices((GTC, IOC, FOK, GTD), (55, 22, 10, 13))[0]
        if kind == OrderType.MARKET:
            tif = rng.choice((IOC, FOK))
        if kind in STOPS:
            self._aim(order, kind)
        rests = tif in (GTC, GTD)
        if rests and kind in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_LIMIT):
            flags |= rng.choices((0, FLAG_POST_ONLY, FLAG_POST_ONLY | FLAG_SLIDE), (85, 8, 7))[0]
            order["display"] = rng.randint(1, max(1, order["quantity"] // 3)) if self._odd(0.25) else 0
        if kind == OrderType.LIMIT and self._odd(0.1):
            flags |= FLAG_PROTECTED
        if self._odd(0.12):
            flags |= FLAG_REDUCE_ONLY
        if tif == GTD:
            order["until"] = self.script.time + wide(rng, 3.2, 6)
        if tif == FOK:
            order["quantity"] = min(order["quantity"], wide(rng, 0, 3))
        order |= {"type": kind, "tif": tif, "flags": flags, "label": rng.randrange(4)}
        order |= {"self_match": rng.choice((0, 0, 0, 1, 2, 3)), "strategy": rng.choice((0, 0, 0, 1, 2, 3))}
        if self._odd(0.02):
            name = rng.choice(("type", "tif", "flags", "watch", "self_match", "strategy", "display", "until"))
            order[name] = rng.choice((1, 2, 3, 4, 8, 15, 16, 200 if name == "flags" else 99)) & ~FLAG_LINKED

    def _aim(self, order: dict[str, int], kind: int) -> None:
        """A trigger, mostly some way from the price it watches; of a trailing stop a distance."""
        rng = self.rng
        mark = self.marks[order["instrument"]] if 0 <= order["instrument"] < len(SPECS) else 100
        away = rng.randint(1, max(1, mark // rng.choice((30, 200, 1000))))
        takes = kind in (OrderType.TAKE_LIMIT, OrderType.TAKE_MARKET)
        rising = (order["side"] > 0) != takes
        trigger = away if kind == OrderType.TRAILING else mark + (away if rising != self._odd(0.1) else -away)
        order |= {"trigger": rng.choice((0, -1, 2**30)) if self._odd(0.01) else trigger, "watch": rng.randrange(3)}
        order["quantity"] = min(order["quantity"], 3000)

    def _edit(self) -> None:
        if not self.recent:
            return
        rng = self.rng
        order = rng.choice(self.recent[-rng.choice((4, 15, 60)) :])
        account = self._account() if self._odd(0.03) else order.account
        step = max(1, abs(order.price) // 4000)
        price = order.price + rng.choice((0, 0, 0, rng.randint(-30, 30) * step))
        quantity = min(2**62, order.quantity * rng.choice((3, 8, 10, 10, 12, 20)) // 10)
        trigger = min(2**31 - 1, max(1, abs(order.price) + rng.randint(-40, 40) * step))
        if self._odd(0.02):
            price, quantity, trigger = rng.choice((price, -1, 2**40)), rng.choice((0, -1, 2**61)), 0
        self.script.add(
            Kind.EDIT, account=account, order_id=order.seq, price=price, quantity=quantity, trigger=trigger,
            flags=rng.choice((0, 0, 0, 0, 0, FLAG_POST_ONLY, FLAG_POST_ONLY | FLAG_SLIDE, rng.randrange(16))),
        )  # fmt: skip

    def _cancel(self) -> None:
        if self.recent:
            account = self._account()
            recent = self.recent[-self.rng.choice((10, 40, 200)) :]
            for order in self.rng.sample(recent, min(self.rng.choice((1, 1, 3)), len(recent))):
                owner = order.account if self._odd(0.6) else account
                self.script.add(Kind.CANCEL, account=owner, order_id=order.seq)

    def _cancel_all(self) -> None:
        account = -1 if self._odd(0.08) else self._account()
        instrument = -1 if self._odd(0.4) else self._number()
        more = {"label": self.rng.choice((0, 1, 2)), "flags": self.rng.choice((0, FLAG_DISCONNECTED))}
        self.script.add(Kind.CANCEL_ALL, account=account, instrument=instrument, **(more if self.rules > 1 else {}))

    # -- chains ------------------------------------------------------------------------------------------------------

    def _link(self, legs: list[tuple[Kind, dict[str, int]]]) -> None:
        """Send legs as one chain; a malformed one may end in a linked leg, then in something that ends it."""
        loose = self._odd(0.02)
        for leg, (kind, fields) in enumerate(legs):
            if leg < len(legs) - 1 or loose:
                fields["flags"] = fields.get("flags", 0) | FLAG_LINKED
            if kind == Kind.ORDER:
                self._send(fields)
            else:
                self.script.add(kind, **fields)
        if loose:
            self.script.add(Kind.TIME)

    def _chain(self) -> None:
        """Cancels and orders of one account."""
        rng, account = self.rng, self.rng.choice(self.clients)
        mine = [order for order in self.recent if order.account == account and order.instrument not in UPSTREAM]
        size = bounds.CHAIN_MAX + rng.randint(0, 1) if self._odd(0.01) else rng.randint(2, 4)
        legs: list[tuple[Kind, dict[str, int]]] = []
        for _ in range(size):
            if mine and self._odd(0.45):
                order = rng.choice(mine[-8:])
                legs.append((Kind.CANCEL, {"account": account, "order_id": order.seq}))
                continue
            order = self._plain() | {"account": account, "self_match": rng.randrange(4), "label": rng.randrange(3)}
            order["quantity"] = min(order["quantity"], 500)
            if mine and self._odd(0.3):
                old = rng.choice(mine[-8:])
                order |= {"instrument": old.instrument, "side": -old.side, "price": old.price}
            if self._odd(0.03):
                order |= {"tif": rng.randrange(4), "type": rng.randrange(4), "account": self._account()}
            legs.append((Kind.ORDER, order))
        self._link(legs)

    def _package(self) -> None:
        rng, account, legs = self.rng, self.rng.choice(self.clients), []
        numbers = rng.sample([n for n in range(len(SPECS)) if n not in UPSTREAM or self._odd(0.02)], rng.randint(2, 3))
        for number in numbers:
            order = self._plain() | {"account": account, "instrument": number, "flags": FLAG_PACKAGE}
            order["tif"] = rng.choice((IOC, IOC, FOK))
            order["price"] = self.marks[number] * (100 + order["side"] * rng.randint(0, 5)) // 100
            order["quantity"] = min(order["quantity"], wide(rng, 0, 1.5))
            order["self_match"] = rng.choice((0, 1, 1))
            if self._odd(0.1):
                order |= {"type": OrderType.MARKET}
            if self._odd(0.03):
                name = rng.choice(("flags", "tif", "instrument", "account"))
                order[name] = {"flags": 0, "tif": GTC, "instrument": numbers[0], "account": self._account()}[name]
            legs.append((Kind.ORDER, order))
        self._link(legs)

    # -- controls ----------------------------------------------------------------------------------------------------

    def _limit(self) -> None:
        rng = self.rng
        limit = rng.choice((*Limit, Limit.REPEATS, Limit.VELOCITY, Limit.VELOCITY, Limit.DRAWDOWN))
        amount, quantity, until = LIMITS[limit](rng)
        if self._odd(0.02):
            amount, quantity, until = rng.choice(((-1, 1, 1), (amount, 0, 0), (2**62 + 1, quantity, until)))
        groups = limit in (Limit.POSITION, Limit.EXPOSURE) and self._odd(0.4)
        fields = {
            "state": 0 if self._odd(0.005) else limit,
            "account": rng.choice(self.groups) if groups else self._account(),
            "instrument": -1 if limit == Limit.FORBIDDEN and self._odd(0.5) else self._number(),
        }
        self.script.add(
            Kind.LIMIT, **fields, amount=amount, quantity=quantity, until=until, flags=int(self._odd(0.5))
        )  # fmt: skip
        none = 0 if limit in (Limit.MESSAGES, Limit.CANCELS, Limit.FORBIDDEN) else bounds.NO_LIMIT

        def lift() -> None:
            if self._odd(0.1):
                self.script.add(Kind.LIMIT, **fields, amount=none)
            self.script.add(Kind.LIMIT, **fields, amount=none, flags=FLAG_APPROVED)
            if limit == Limit.VELOCITY:
                self._reopen(Scope.INSTRUMENT, fields["instrument"])
            if limit == Limit.DRAWDOWN:
                self._reopen(Scope.ACCOUNT, fields["account"])

        self._soon(lift)

    def _reopen(self, scope: int, number: int) -> None:
        of_account = scope == Scope.ACCOUNT
        self.script.add(
            Kind.STATE, type=scope, state=VenueState.OPEN, flags=FLAG_APPROVED,
            account=number if of_account else 0, instrument=0 if of_account else number,
        )  # fmt: skip

    def _scope(self) -> tuple[int, int]:
        scope = self.rng.choice(tuple(Scope)) if self._odd(0.98) else 9
        if scope == Scope.ACCOUNT:
            return scope, self.rng.choice(self.groups) if self._odd(0.3) else self._account()
        return scope, self.rng.choice(BLOCKS) if scope == Scope.UNDERLYING else self._number()

    def _state(self) -> None:
        rng = self.rng
        state = rng.choice((VenueState.OPEN, VenueState.OPEN, VenueState.REDUCE_ONLY, VenueState.HALTED, 3))
        scope, number = (Scope.VENUE, 0) if self.rules < 2 or self._odd(0.4) else self._scope()
        self.script.add(
            Kind.STATE, type=scope, account=number, instrument=number, state=state, flags=rng.choice((0, 1, 1, 2))
        )
        self._soon(lambda: self._reopen(scope, number), 1, 40)

    def _kill(self) -> None:
        scope, number = self._scope()
        self.script.add(Kind.KILL, type=scope, account=number, instrument=number)
        self._soon(lambda: self._reopen(scope, number), 1, 40)

    def _dead_man(self) -> None:
        now = self.script.time
        until = self.rng.choice((0, now + wide(self.rng, 3.2, 6), now + wide(self.rng, 3.2, 6), now - 10**6, 2**62))
        self.script.add(Kind.DEAD_MAN, account=self._account(), until=until)

    def _protect(self, account: int | None = None) -> None:
        rng = self.rng
        self.script.add(
            Kind.PROTECT, account=self._account() if account is None else account,
            instrument=65 if self._odd(0.02) else rng.choice(BLOCKS),
            quantity=-1 if self._odd(0.02) else wide(rng, 7, 11),
            amount=wide(rng, 7, 11), version=wide(rng, 6, 10), until=0 if self._odd(0.05) else wide(rng, 4, 7),
            display=rng.choice((0, wide(rng, 4, 6))),
        )  # fmt: skip

    def _protect_reset(self) -> None:
        self.script.add(Kind.PROTECT_RESET, account=self._account(), instrument=self.rng.choice((0, 0, 1, 1, 2, 99)))

    def _rearm(self) -> None:
        flags = FLAG_APPROVED if self._odd(0.9) else 0
        for client in self.rng.sample(self.clients, min(2, len(self.clients))):
            for strategy in (1, 2, 3) if self._odd(0.9) else (0, 16):
                self.script.add(Kind.REARM, account=client, strategy=strategy, flags=flags)

    def _wire(self) -> None:
        """Who belongs where: accounts, memberships, underlyings, upstream."""
        rng, choice = self.rng, self.rng.randrange(5)
        if choice == 0 and self.next_account < 60:
            role = rng.choice((Role.CLIENT, Role.CLIENT, Role.DESK, 9))
            number = self.next_account
            self.script.add(Kind.ACCOUNT, account=number, tier=0, type=role)
            self.next_account += role != 9
            if role == Role.CLIENT:
                self.script.add(Kind.MEMBER, account=number, order_id=rng.choice(self.groups))
                self.script.add(Kind.DEPOSIT, account=number, currency=rng.randrange(2), amount=10**9)
                self.clients.append(number)
        elif choice == 1:
            self.script.add(Kind.MEMBER, account=self._account(), order_id=rng.choice((*self.groups, 3, 99)))
        elif choice == 2:
            self.script.add(
                Kind.UNDERLYING, instrument=rng.choice((0, 1, 99)), amount=rng.choice((0, 1, 2)), flags=rng.randrange(2)
            )
        elif choice == 3:
            self.script.add(Kind.UPSTREAM, instrument=self._number(), account=rng.choice((self.upstream, 3)))
        else:
            self.script.add(Kind.RULES, version=rng.choice((*range(self.rules + 1), NEWEST)))

    def _pause(self) -> None:
        """Time jumps, now and then far."""
        self.script.time += wide(self.rng, 4, 8)
        self.script.add(Kind.TIME)

    def _index(self) -> None:
        rng, number = self.rng, self._number()
        mark = self.marks[number] if 0 <= number < len(SPECS) else 100
        price = int(mark * (1 + rng.uniform(-1, 1) * rng.choice((0.0005, 0.002, 0.01, 0.1))))
        self.script.add(Kind.INDEX, instrument=number, price=rng.choice((0, 2**30)) if self._odd(0.01) else price)

    # -- upstream ----------------------------------------------------------------------------------------------------

    def _at_the_venue(self) -> None:
        """Something happens at the venue to an order that was sent there, or is said to."""
        if not self.sent:
            return
        order = self.rng.choice(self.sent)
        kinds = (Kind.ACKNOWLEDGED, Kind.EXECUTED, Kind.ENDED, Kind.UNKNOWN)
        self._say(self.rng.choices(kinds, (6, 8, 1, 1))[0], order)

    def _say(self, kind: Kind, order: Sent) -> None:
        """One thing of an order elsewhere, mostly as it could be."""
        rng = self.rng
        account = self._account() if self._odd(0.02) else order.account
        if self._odd(0.02):
            order = rng.choice(self.recent)
        fields = {"account": account, "order_id": order.seq}
        if kind == Kind.EXECUTED:
            better = rng.randint(-1 if self._odd(0.02) else 0, 20)
            fields["price"] = order.price - order.side * better
            fields["quantity"] = max(1, order.quantity // rng.choice((1, 2, 3, 10))) + (self._odd(0.03) and 10**6)
            fields["amount"] = 2**50 if self._odd(0.01) else rng.randint(-5, 1000)
        elif kind in (Kind.AMENDED, Kind.EDIT):
            fields["price"] = order.price + rng.choice((0, rng.randint(-30, 30))) * max(1, abs(order.price) // 4000)
            fields["quantity"] = min(2**62, max(1, order.quantity * rng.choice((1, 5, 9, 10, 12, 20)) // 10))
            if self._odd(0.08):
                wrong = ((0, 1), (2**40, 1), (order.price, -1), (order.price, 0), (order.price, 10**6 + 1))
                fields["price"], fields["quantity"] = rng.choice(wrong)
            elif self._odd(0.1):
                fields["quantity"] = 10**6
            fields["flags"] = rng.choice((0, 0, 0, 0, FLAG_POST_ONLY, FLAG_SLIDE)) if kind == Kind.EDIT else 0
        self.script.add(kind, **fields)

    def _acknowledge(self, order: Sent) -> None:
        """It is open at the venue; what is asked and said of it follows."""
        self._say(Kind.ACKNOWLEDGED, order)
        kinds = (Kind.EDIT, Kind.AMENDED, Kind.EXECUTED, Kind.CANCEL, Kind.UNKNOWN)
        for kind in self.rng.choices(kinds, (8, 5, 4, 1, 1), k=4):
            self._soon(lambda kind=kind: self._say(kind, order), 1, 60)

    def _settle_upstream(self, order: Sent) -> None:
        """Sooner or later the venue says that it is over."""
        self.script.add(Kind.ENDED, account=order.account, order_id=order.seq)

    def _booking(self) -> dict[str, int]:
        """A trade as a venue could report it, at a price of its own, for a fee or a rebate."""
        rng, number = self.rng, self.rng.choice(self.elsewhere)
        mark = self.marks[number]
        return {
            "account": self._account(),
            "instrument": number,
            "side": rng.choice((-1, 1)),
            "price": mark + rng.randint(-30, 30) * max(1, mark // 4000),
            "quantity": rng.choice((1, 5, 100, rng.randint(1, 3000))),
            "amount": rng.randint(-5, 1000),
        }

    def _book(self) -> None:
        """A trade made elsewhere or money moved there; now and then what is refused."""
        booking = self._booking()
        if self._odd(0.3):
            booking |= {"side": 0, "price": 0, "quantity": 0, "amount": self.rng.randint(-(10**6), 10**6)}
        if self._odd(0.1):
            name = self.rng.choice(("instrument", "side", "price", "quantity", "amount"))
            wrong = {
                "instrument": (0, 1, -1, 99), "side": (0, 1, 2, -2), "price": (0, 1, 2**20 + 1, -5),
                "quantity": (-1, 0, 10**6 + 1, 2**62), "amount": (2**48, 2**48 + 1, -(2**48) - 1, -(2**63)),
            }  # fmt: skip
            booking[name] = self.rng.choice(wrong[name])
            if abs(booking["amount"]) == 2**48:
                self.script.add(Kind.BOOKED, **booking)
                booking["amount"] *= -1
        self.script.add(Kind.BOOKED, **booking)

    def _book_far(self) -> None:
        """More and more lots of one client, then of two, to where the position bound is; and back."""
        booking = self._booking() | {"quantity": 10**6, "amount": 0}
        one, other = self.rng.choice(self.clients), self.rng.choice(self.clients)
        for account in self.rng.choice(((one, one, one), (one, other, one, other), (one, other, other, one))):
            self.script.add(Kind.BOOKED, **(booking | {"account": account}))
            self._soon(
                lambda account=account: self.script.add(
                    Kind.BOOKED, **(booking | {"account": account, "side": -booking["side"]})
                ), 1, 30,
            )  # fmt: skip

    def _book_much(self) -> None:
        """Bought dear and sold cheap until the session cash is at its bound; then the other way round."""
        booking = self._booking() | {"instrument": self.elsewhere[0], "quantity": 10**6, "amount": 0}
        for way in (1, -1):
            for _ in range(13):
                for side in (1, -1):
                    price = 2**20 if side == way else 100
                    self.script.add(Kind.BOOKED, **(booking | {"side": side, "price": price}))

    # -- money, catalogue, garbage -----------------------------------------------------------------------------------

    def _deposit(self) -> None:
        amount = self.rng.choice((1, 10**6, 10**9, 0, -1, 2**50, self.rng.randint(1, 10**9)))
        self.script.add(Kind.DEPOSIT, account=self._account(), currency=self.rng.choice((0, 1, 1, 0, 2)), amount=amount)

    def _withdraw(self) -> None:
        self.script.add(
            Kind.WITHDRAW, account=self._account(), currency=self.rng.choice((0, 1)), amount=wide(self.rng, 0, 12)
        )

    def _publish(self) -> None:
        move = self.rng.choice((0.001, 0.01, 0.01, 0.1))
        factor = 1 + self.rng.uniform(-move, move)
        self.marks = [max(20, int(mark * factor)) for mark in self.marks]
        self.marks = [min(max(mark, MARKS[n] // 2), MARKS[n] * 2) for n, mark in enumerate(self.marks)]
        made = publication(
            self.rng, marks=tuple(self.marks), scenarios=self.rng.choice((1, 7, 7, 35)), skip=frozenset(self.expired)
        )
        if self._odd(0.03):
            huge = replace(made.instruments[0], u=(0,) * (len(made.instruments[0].u) - 1) + (2**49,))
            made = replace(made, instruments=(huge, *made.instruments[1:]))
        data = made.encode()
        version = self.version + 1
        if self._odd(0.05):
            data = data[: self.rng.randrange(0, len(data), 8)]
        elif self._odd(0.05):
            version += 1
        elif made.instruments[0].u[-1] < 2**49:
            self.version += 1
        self.script.add(Kind.PUBLISH, data, version=version)

    def _funding(self) -> None:
        rate = self.rng.choice((1, -1)) * wide(self.rng, 3, 10)
        self.script.add(Kind.FUNDING, instrument=self.rng.choice((0, 1, 2, 5)), amount=rate)

    def _settle(self) -> None:
        self.script.add(Kind.SETTLE, instrument=self._number())

    def _expire(self) -> None:
        number = self.rng.choice((0, 2, 3, 4, 6))
        if self._odd(0.2) and number not in (0, *self.expired):
            self.script.time = max(self.script.time, EXPIRY)
            self._soon(self._expire_all)
        self._deliver(number)

    def _expire_all(self) -> None:
        for number in (2, 3, 4, 6):
            self._deliver(number)

    def _deliver(self, number: int) -> None:
        price = int(self.rng.choice((600, 121_000)) * self.rng.uniform(0.5, 1.5)) if self._odd(0.9) else 0
        self.script.add(Kind.EXPIRE, instrument=number, price=price)
        deliverable = SPECS[number].product != Product.PERPETUAL and SPECS[number].deliverable(price)
        if self.script.time >= EXPIRY and deliverable:
            self.expired.add(number)

    def _catalogue(self) -> None:
        rng, choice = self.rng, self.rng.randrange(6)
        if choice == 0:
            rates = {"price": rng.randint(-200, 200), "amount": rng.choice((rng.randint(0, 600), 2**15))}
            self.script.add(Kind.TIER, tier=rng.choice((0, 0, 99)), currency=0, **rates)
        elif choice == 1:
            self.script.add(Kind.OPENED, flags=rng.choice((0, 0, 1)))
            self.script.add(Kind.STATE, state=VenueState.REDUCE_ONLY, flags=rng.choice((0, 2)))
            self.script.add(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED)
        elif choice == 2:
            self.script.add(Kind.INSTRUMENT, SPECS[0].encode()[: rng.choice((10, 200))], instrument=len(SPECS))
        elif choice == 3:
            self.script.add(Kind.ACCOUNT, account=rng.choice((5, self.next_account)), tier=7)
        elif choice == 4:
            self.script.add(Kind.CURRENCY, currency=0)
        else:
            self.script.add(Kind.TIME)

    def _garbage(self) -> None:
        record = {
            name: self.rng.choice((0, -1, 2**31 - 1, 1)) for name in ("account", "instrument", "currency", "tier")
        }
        long = ("price", "quantity", "amount", "display", "until", "label")
        far = {name: self.rng.choice((0, -1, 2**62, -(2**62), 1)) for name in long}
        kinds = [kind for kind in Kind if kind != Kind.RULES or self.rules > 1]
        self.script.add(self.rng.choice([*kinds, 77]), **record, **far)
