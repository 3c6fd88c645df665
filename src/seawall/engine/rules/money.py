"""Cash, funding, settlement, expiry."""

from typing import Any

from seawall.engine import formulas
from seawall.engine.catalogue import Refused
from seawall.engine.rules.margin import Account
from seawall.engine.rules.orders import Orders
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import FORBID_WITHDRAW, GROUPS, SYSTEM_ROUNDING, Limit, VenueState


class Money(Orders):
    """Handlers of commands 40 to 44."""

    def _money(self, command: Any) -> tuple[int, int, int]:
        number, currency, amount = int(command["account"]), int(command["currency"]), int(command["amount"])
        if not 0 <= number < len(self.accounts):
            raise Refused(Reason.UNKNOWN_ACCOUNT, number, len(self.accounts))
        if not 0 <= currency < self.catalogue.currencies:
            raise Refused(Reason.UNKNOWN_CURRENCY, currency, self.catalogue.currencies)
        if not 1 <= amount <= bounds.BALANCE_MAX:
            raise Refused(Reason.AMOUNT, amount, bounds.BALANCE_MAX)
        if self.accounts[number].role in GROUPS:
            raise Refused(Reason.ROLE, number, self.accounts[number].role)
        return number, currency, amount

    def _deposit(self, command: Any, attachment: bytes) -> None:
        number, currency, amount = self._money(command)
        balance = self.accounts[number].balance[currency] + amount
        if balance > bounds.BALANCE_MAX:
            raise Refused(Reason.BALANCE_BOUND, balance, bounds.BALANCE_MAX)
        if self.net_deposits[currency] + amount > bounds.DEPOSITS_MAX:
            raise Refused(Reason.BALANCE_BOUND, self.net_deposits[currency] + amount, bounds.DEPOSITS_MAX)
        before = self.book.equity(self.accounts[number])
        self.net_deposits[currency] += amount
        self._post(number, currency, amount, Reason.DEPOSITED)
        self._paid(number, before)

    def _withdraw(self, command: Any, attachment: bytes) -> None:
        number, currency, amount = self._money(command)
        account = self.accounts[number]
        if self.catalogue.rules > 1:
            self._check_leaving(number)
        cash = account.balance[currency]
        for instrument, position in account.positions.items():
            listing = self.book.listings[instrument]
            if listing.spec.currency == currency:
                option = listing.spec.product == Product.OPTION
                cash += min(0, position.cash if option else listing.gain(position, account.split))
        if amount > cash:
            raise Refused(Reason.CASH, amount, cash)
        account.balance[currency] -= amount
        requirement, equity = self.book.requirement(account), self.book.equity(account)
        account.balance[currency] += amount
        if equity - requirement < 0:
            raise Refused(Reason.WITHDRAWAL_MARGIN, requirement, equity)
        before = self.book.equity(account)
        self.net_deposits[currency] -= amount
        self._post(number, currency, -amount, Reason.WITHDRAWN)
        self._paid(number, before)

    def _paid(self, number: int, before: int) -> None:
        """What a payment changes besides: the height a drawdown is measured from, and who is restricted."""
        account = self.accounts[number]
        if self.catalogue.limit(Limit.DRAWDOWN, number) is not None:
            change = self.book.equity(account) - before
            account.highest += change
            account.rising += change
        self._watch_maintenance(number)

    def _check_leaving(self, number: int) -> None:
        """Money stays where trading is halted or withdrawing forbidden."""
        venue, state = self.catalogue.venue, self.catalogue.account_state(number)
        if venue == VenueState.HALTED:
            raise Refused(Reason.VENUE_HALTED, venue, VenueState.REDUCE_ONLY)
        if state == VenueState.HALTED:
            raise Refused(Reason.ACCOUNT_HALTED, state, VenueState.REDUCE_ONLY)
        forbidden = self._forbidden(number, -1)
        if forbidden & FORBID_WITHDRAW:
            raise Refused(Reason.FORBIDDEN, FORBID_WITHDRAW, forbidden)
        if self.catalogue.rules > 6:
            self._check_valued(self.accounts[number])

    def _check_valued(self, account: Account) -> None:
        """What an account holds or has open is halted nowhere, priced, and of known outcome: else nobody knows E."""
        if account.unknown:
            raise Refused(Reason.OUTCOME_UNKNOWN, account.unknown, 0)
        for instrument, position in account.positions.items():
            if not (position.quantity or position.open_buy or position.open_sell):
                continue
            state = self.catalogue.instrument_state(instrument)
            refused = self._bad_prices(self.book.listings[instrument])
            if state == VenueState.HALTED:
                refused = Refused(Reason.INSTRUMENT_HALTED, state, VenueState.REDUCE_ONLY)
            if refused is not None:
                refused.instrument = instrument
                raise refused

    def _funding(self, command: Any, attachment: bytes) -> None:
        listing, instrument = self._listing(command), int(command["instrument"])
        spec, rate = listing.spec, int(command["amount"])
        if spec.product != Product.PERPETUAL:
            raise Refused(Reason.NOT_PERPETUAL, instrument, spec.product)
        if abs(rate) > spec.largest_funding:
            raise Refused(Reason.FUNDING_BOUND, rate, spec.largest_funding)
        residue = 0
        for number, position in listing.holders.items():
            if position.quantity:
                atoms = -position.quantity * rate >> bounds.FUNDING_SHIFT
                residue -= atoms
                self._post(number, spec.currency, atoms, Reason.FUNDED, instrument, position.quantity)
                self._margin_call(number)
        if residue:
            self._post(SYSTEM_ROUNDING, spec.currency, residue, Reason.ROUNDED, instrument)

    def _settle(self, command: Any, attachment: bytes) -> None:
        listing, instrument = self._listing(command), int(command["instrument"])
        if listing.risk is None or listing.expired:
            raise Refused(Reason.NOT_PUBLISHED, instrument, self.catalogue.version)
        spec = listing.spec
        for number, position in listing.holders.items():
            if spec.product == Product.OPTION:
                gain = position.cash if position.quantity == 0 else 0
            else:
                gain = position.cash + formulas.position_value(spec, position.quantity, listing.risk.mark)
            if not gain:
                continue
            now = gain
            if self.catalogue.rules > 6:
                now = formulas.counted_gain(gain, listing.risk.gain_cap, self.accounts[number].split)
            position.cash -= now
            self._post(number, spec.currency, now, Reason.SETTLED, instrument, position.quantity, waits=gain - now)

    def _expire(self, command: Any, attachment: bytes) -> None:
        instrument, price = int(command["instrument"]), int(command["price"])
        spec = self.catalogue.expire(instrument, price, self.clock, self._largest_held)
        listing = self.book.listings[instrument]
        self._clear_book(listing, Reason.INSTRUMENT_EXPIRED)
        for account in self.accounts:
            for order in reversed(list(account.orders.values())):
                if order.instrument == instrument:  # upstream
                    self._end(order, Reason.INSTRUMENT_EXPIRED)
        listing.expired = True
        residue = 0
        for number, position in listing.holders.items():
            account = self.accounts[number]
            delivered = formulas.delivered_value(spec, position.quantity, price)
            residue -= delivered
            self.book.add_position(account, instrument, -1)
            del account.positions[instrument]
            if position.quantity or position.cash:
                atoms = position.cash + delivered
                self._post(number, spec.currency, atoms, Reason.DELIVERED, instrument, position.quantity)
                self._margin_call(number)
        listing.holders = {}
        if residue:
            self._post(SYSTEM_ROUNDING, spec.currency, residue, Reason.ROUNDED, instrument)

    def _largest_held(self, instrument: int) -> tuple[int, int]:
        listing = self.book.listings[instrument]
        currency = listing.spec.currency
        lots = max((abs(held.quantity) for held in listing.holders.values()), default=0)
        cash = [abs(self.accounts[n].balance[currency]) + abs(held.cash) for n, held in listing.holders.items()]
        return lots, max(cash, default=0)
