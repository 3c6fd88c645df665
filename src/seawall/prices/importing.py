"""A recorded market, turned into commands: its book into orders of liquidity accounts, its trades into aggressors.

Updates and trades come in the order `ordering` finds. The rules:

  update    The recorded book is the fold of snapshot, deltas and bookTickers; a bookTicker sets the best price of each
            side and says that nothing better is left. At every price an update speaks of, and at those trades have
            touched since the last delta (a delta that says nothing of them says that they are as before), our orders
            are made equal to it: cancels come first, newest first, then additions. Where less than a whole order must
            go, the order is cancelled and a smaller one placed last: a recording of levels knows no queue.
  trade     One immediate-or-cancel order at the recorded price for the recorded lots, in an account that never rests.
            It meets what earlier updates told of, and nothing else.
  after it  A trade proves that nothing better was left, and how much less its price then held. What our book still
            shows beyond that, because the recording had not told, is cancelled then: after the trade has been judged,
            before the next.
  crossing  A delta that leaves the recorded book crossed (only in a partial book, or after a gap) takes the opposite
            prices it crosses with it: the newer word stands. Hence an order placed never crosses.

Marks are published at the start, on moves of 10 basis points and each minute: the exchange's mark price where the
recording has it, else the middle of the best prices.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from seawall.prices.fidelity import TOP, AwaitedCheck, AwaitedPrint, Cause, Fidelity, Gap, Judge
from seawall.prices.ladder import Ladder
from seawall.prices.listing import Listing
from seawall.prices.ordering import place
from seawall.prices.orders import Accounts, Batch, Outbox, OwnBook, aggress, catalogue
from seawall.prices.recordings import SPOT, Delta, Levels, Print, Recording, Snapshot, Touch, Update
from seawall.vocabulary.records import BUY, SELL, Events, Kind

BATCH: Final = 2048
PUBLISH_MOVE: Final = 0.001
PUBLISH_NS: Final = 60 * 10**9
LIQUIDITY_ACCOUNTS: Final = 4
TAKER_ACCOUNTS: Final = 2


class RecordedBook:
    """The recording's own book: the fold of its updates, and how much of each side it has told."""

    def __init__(self, low: int, high: int) -> None:
        self.sides = {BUY: Ladder(BUY), SELL: Ladder(SELL)}
        self.beyond_band = self.crossed = 0
        self._low, self._high = low, high
        self._told: dict[int, set[int]] = {BUY: set(), SELL: set()}
        self._within: dict[int, tuple[int, int]] = {}

    def snapshot(self, update: Snapshot) -> set[tuple[int, int]]:
        """Take a snapshot; returns every (side, price) that it speaks of, what was there before included."""
        spoken = set()
        for side, levels in ((BUY, update.bids), (SELL, update.asks)):
            spoken |= {(side, price) for price in self.sides[side].all()}
            self.sides[side] = Ladder(side)
            self._told[side] = set()
            spoken |= self._put(side, levels)
        if update.bids and update.asks:
            lowest, highest = min(update.bids)[0], max(update.asks)[0]
            self._within = {BUY: (lowest, min(update.asks)[0]), SELL: (max(update.bids)[0], highest)}
        return spoken

    def delta(self, update: Delta) -> set[tuple[int, int]]:
        """Take a delta; returns every (side, price) that it speaks of."""
        spoken = self._put(BUY, update.bids) | self._put(SELL, update.asks)
        bid, ask = self.sides[BUY].best, self.sides[SELL].best
        while bid is not None and ask is not None and bid >= ask:
            # The newer word stands; where both are of this delta, the bid's.
            side, price = (SELL, ask) if (BUY, bid) in spoken else (BUY, bid)
            self.sides[side].put(price, 0)
            spoken.add((side, price))
            self.crossed += 1
            bid, ask = self.sides[BUY].best, self.sides[SELL].best
        return spoken

    def touch(self, update: Touch) -> set[tuple[int, int]]:
        """Take a best price of each side; returns every (side, price) that it speaks of."""
        spoken = set()
        for side, price, lots in ((BUY, update.bid, update.bid_lots), (SELL, update.ask, update.ask_lots)):
            for better in list(self.sides[side].better(price)):
                self.sides[side].put(better, 0)
                spoken.add((side, better))
            spoken |= self._put(side, [(price, lots)])
        return spoken

    def told(self, side: int, price: int) -> bool:
        """Whether anything was ever said of a price: by name, or by a snapshot's silence inside its range."""
        low, high = self._within.get(side, (1, 0))
        return price in self._told[side] or low <= price <= high

    def middle(self) -> float | None:
        """The middle of the best prices, in ticks."""
        bid, ask = self.sides[BUY].best, self.sides[SELL].best
        return (bid + ask) / 2 if bid is not None and ask is not None else None

    def _put(self, side: int, levels: Levels) -> set[tuple[int, int]]:
        spoken = set()
        for price, lots in levels:
            self._told[side].add(price)
            if self._low <= price <= self._high:
                self.sides[side].put(price, lots)
                spoken.add((side, price))
            else:
                self.beyond_band += 1
        return spoken


class Importer:
    """Makes the commands of one recording and judges the events they bring; for one use.

    `batches` yields commands without seq and time; give each batch's events to `hear` before asking for the next.
    `first_seq` is the seq the first command will get from the (sole) writer. `fidelity` holds the findings.
    """

    def __init__(self, recording: Recording, first_seq: int = 1) -> None:
        """Raises RecordingError where the recording's units are too fine for the bounds of money."""
        self.recording, self.listing = recording, Listing(recording)
        spec = self.listing.specification
        self.book = RecordedBook(spec.price_min, spec.price_max)
        self.placement = place(recording)
        self.time_ns = 0
        self.dropped = self.publications = 0
        self._outbox = Outbox(first_seq)
        opened: list[int] = []
        self._liquidity = Accounts(self._outbox, opened, spec.quantity_max)
        self._takers = Accounts(self._outbox, opened, spec.quantity_max)
        self._own = OwnBook(self._outbox, self._liquidity, spec.quantity_max)
        self._judge = Judge()
        self._gap_lines = {line for line, _, _ in recording.gaps}
        self._awaits_snapshot = any(isinstance(update, Snapshot) for update in recording.updates)
        self._started = self._after_gap = False
        self._dirty: set[tuple[int, int]] = set()
        self._best: Touch | None = None
        self._printed_at_best = {BUY: 0, SELL: 0}
        self._delta_id = self._touches_since = 0
        self._published_ns, self._published_mark = 0, 0.0
        self._marks = self._done = 0

    @property
    def fidelity(self) -> Fidelity:
        """What was found so far."""
        return self._judge.fidelity

    @property
    def progress(self) -> tuple[int, int]:
        """Updates and trades turned into commands, and how many there are."""
        return self._done, len(self.recording.updates) + len(self.recording.prints)

    def hear(self, events: Events) -> None:
        """The events of the last batch, all of them."""
        self._judge.hear(events)

    def batches(self, size: int = BATCH) -> Iterator[Batch]:
        """The commands, in batches of about `size`, each cut between two messages of the recording."""
        catalogue(self._outbox, self.listing.decimals, self.listing.specification.encode())
        for accounts, count in ((self._liquidity, LIQUIDITY_ACCOUNTS), (self._takers, TAKER_ACCOUNTS)):
            for _ in range(count):
                accounts.open()
        for time_ns, message, shown in self._messages():
            self.time_ns = max(self.time_ns, time_ns)
            self._done += 1
            if isinstance(message, Print):
                self._print(message, shown)
            else:
                self._update(message)
            if len(self._outbox) >= size:
                yield self._outbox.take(self.time_ns)
        if len(self._outbox):
            yield self._outbox.take(self.time_ns)

    def _messages(self) -> Iterator[tuple[int, Update | Print, int]]:
        """Updates and trades in their order, with the exchange's time and, for a trade, the id that shows it."""
        prints, (before, shown, clock) = self.recording.prints, self.placement
        at = 0
        for number, update in enumerate(self.recording.updates):
            while at < len(prints) and before[at] <= number:
                yield prints[at].time_ns, prints[at], shown[at]
                at += 1
            yield clock[number], update, 0
        for traded in prints[at:]:
            yield traded.time_ns, traded, 0

    # -- updates ---------------------------------------------------------------------------------------------------

    def _update(self, update: Update) -> None:
        if isinstance(update, Snapshot):
            self._started, self._after_gap = True, False
        elif not self._started:
            if self._awaits_snapshot:  # older than the snapshot, which says all of it
                self.dropped += 1
                return
            self._started = True
        if isinstance(update, Touch):
            spoken = self.book.touch(update)
            self._best, self._printed_at_best = update, {BUY: 0, SELL: 0}
            self._touches_since += 1
        else:
            known = self.book.snapshot(update) if isinstance(update, Snapshot) else self.book.delta(update)
            spoken = known | self._dirty
            self._dirty = set()
            self._delta_id, self._touches_since = update.last, 0
            self._after_gap |= update.line in self._gap_lines
        self._publish()
        self._follow(spoken)
        if isinstance(update, Delta):
            levels = [(side, price, self.book.sides[side].at(price)) for side, price in spoken]
            bids, asks = (self.book.sides[side].top(TOP) for side in (BUY, SELL))
            self._judge.expect(AwaitedCheck(self._outbox.next_seq - 1, levels, bids, asks))

    def _follow(self, spoken: Iterable[tuple[int, int]]) -> None:
        """Make our orders equal to the recorded book at the given prices: cancels first, then additions."""
        missing = []
        for side, price in sorted(spoken):
            wanted, held = self.book.sides[side].at(price), self._own.sides[side].at(price)
            if wanted < held:
                wanted, held = self._own.shrink(side, price, wanted), 0
            if wanted > held:
                missing.append((side, price, wanted - held))
        for side, price, lots in missing:
            self._own.rest(side, price, lots)

    # -- trades ----------------------------------------------------------------------------------------------------

    def _print(self, traded: Print, shown: int) -> None:
        self._publish()
        if not self._started or not self._published_ns:
            self.fidelity.count(Cause.BEFORE_DEPTH, Gap.BEFORE_DEPTH)
            return
        resting = -traded.side
        ladder = self._own.sides[resting]
        known, gap = self._known(traded, resting, shown)
        left = max(0, ladder.at(traded.price) - traded.lots)
        account = self._takers.with_room(traded.lots)
        seq = aggress(self._outbox, account, traded.side, traded.price, traded.lots)
        self._judge.expect(AwaitedPrint(seq, traded.price, traded.lots, known, gap))
        done, touched = self._own.hit(resting, traded.price, traded.lots)
        self._takers.trade(account, traded.side * done)
        gone = list(ladder.better(traded.price))
        for price in gone:
            self._own.shrink(resting, price, 0)
        if ladder.at(traded.price) > left:
            missing = self._own.shrink(resting, traded.price, left)
            if missing:
                self._own.rest(resting, traded.price, missing)
        self._dirty |= {(resting, price) for price in (*touched, *gone, traded.price)}

    def _known(self, traded: Print, resting: int, shown: int) -> tuple[Cause, Gap | None]:
        """What the recording knew of a trade's price before it: the cause if nothing is found there, and any gap.

        `shown` is the id of the trade's own update; it serves to count what came before, and nothing else.
        """
        if self._after_gap:
            return Cause.AFTER_GAP, Gap.AFTER_GAP
        best = self._best
        deeper = 0
        if best is not None:
            price, lots = (best.bid, best.bid_lots) if resting == BUY else (best.ask, best.ask_lots)
            deeper = resting * (price - traded.price)
            if deeper == 0:
                self._printed_at_best[resting] += traded.lots
                if self._printed_at_best[resting] > lots:
                    return Cause.HIDDEN, Gap.HIDDEN
        told = self.book.told(resting, traded.price) or (best is not None and deeper <= 0)
        if not told:
            return Cause.UNTOLD, Gap.UNTOLD
        cause = Cause.SMALLER if self.book.sides[resting].at(traded.price) else Cause.EMPTY
        # Spot counts one symbol's updates without holes: what no delta or bookTicker brought is yet to be told.
        counted = 0
        if best is not None and self.recording.market == SPOT:
            counted = max(best.last, shown - 1) - self._delta_id
        return cause, Gap.UNSEEN if deeper > 0 and counted > self._touches_since else None

    # -- marks -----------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Publish a mark if there is none yet, it moved, or its time is over."""
        marks = self.recording.marks
        while self._marks < len(marks) and marks[self._marks].time_ns <= self.time_ns:
            self._marks += 1
        mark = marks[self._marks - 1].ticks if self._marks else self.book.middle()
        if mark is None:
            sides = [ladder.best for ladder in self.book.sides.values() if ladder.best is not None]
            if not sides or self._published_ns:
                return
            mark = float(sides[0])
        old = self._published_mark
        if old and abs(mark - old) <= PUBLISH_MOVE * old and self.time_ns - self._published_ns < PUBLISH_NS:
            return
        publication = self.listing.publication(mark, self.time_ns)
        self._published_ns, self._published_mark = self.time_ns, mark
        self.publications += 1
        self._liquidity.room = self._takers.room = self.listing.room(publication)
        self._outbox.add(Kind.PUBLISH, version=self.publications, attachment=publication.encode())
