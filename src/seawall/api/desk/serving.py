"""One process between bots and a venue: the doors of a venue of our own, behind the trading door another's."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
import msgspec

from seawall.api.commands import packed
from seawall.api.desk.desk import Desk
from seawall.api.desk.door import DeskDoor
from seawall.api.desk.feed import QUOTES_S, Feed
from seawall.api.desk.memory import DeskMemory
from seawall.api.keystore import SCOPES, Key, Keystore
from seawall.api.operations.people import development_people, write_secret
from seawall.api.serving import Venue
from seawall.node import Configuration
from seawall.node.configuration import Bot
from seawall.node.node import Group
from seawall.venues import Shadow as Account
from seawall.venues.connection import Connection, Unreachable, VenueError
from seawall.venues.credentials import Credentials, Upstream
from seawall.vocabulary.errors import InputError, SeawallError
from seawall.vocabulary.records import Kind, Limit, Role

SIGHT_S: Final = 20.0
"""How long a start waits for the venue before it opens its door all the same; orders wait for sight (enforce)."""


class DeskVenue(Venue):
    """Desk mode. `dev`: people and keys of its own making, told in the ready line, and it reopens itself."""

    memory: DeskMemory

    def __init__(
        self,
        configuration: Configuration,
        credentials: dict[str, Credentials] | None = None,
        *,
        dev: bool = False,
        passphrase: bytes | None = None,
    ) -> None:
        """`credentials` at the venue by account, where they are given anew; else they are in the keystore."""
        coins = configuration.upstream.underlyings
        if not coins or len(set(coins)) < len(coins) or not all(coin.isalnum() and coin.isupper() for coin in coins):
            raise InputError("upstream.underlyings", list(coins), "must name coins, each once and in capitals")
        super().__init__(configuration, passphrase=passphrase)
        self.upstream = Upstream.of(configuration.upstream.url)
        self.dev, self._credentials = dev, credentials or {}
        self._changed: set[str] = set()
        # Who only looks on must not be what cuts the bots off: without a journal it still forwards, and says so.
        self.outlives_its_writer = not configuration.upstream.enforce
        self.mirror = self.memory.mirror
        self.bots: dict[str, Bot] = {}
        self._feed = Feed(self.mirror, configuration.upstream.underlyings)

    async def _begin(self, store: Keystore) -> None:
        accounts = self._accounts(store)
        self.bots = _bots(self.configuration.upstream.bots, accounts)
        self.http = aiohttp.ClientSession(  # what a venue tells one bot to keep is not for the next one to show
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar()
        )
        try:
            await self._open(store, accounts)
        except BaseException:
            await self.http.close()
            raise

    async def _open(self, store: Keystore, accounts: dict[str, Credentials]) -> None:
        venue = await self._look(self.http)
        shadows = [Account(name, _groups(bot)) for name, bot in self.bots.items()]
        new = not self.mirror.opened
        await self._send(await self._feed.open(venue, shadows))
        if new:
            age = round(self.configuration.publisher.late_s * 1e9)  # C17: beyond it bots may only reduce
            stale = packed(Kind.LIMIT, state=Limit.STALE, account=-1, instrument=-1, amount=age)
            await self.service.write(stale)
        self._check_bots()
        self._check_groups()
        if given := self._credentials:  # sealed once they fit: the keystore forgets no account
            store.change_now(lambda registry: registry.upstream.update(given))
        if self.dev:
            await self._reopen()
            self.people = development_people(store, self.configuration.home_folder / "people")
        else:
            await self._need_operator(store)
        self._hand_out(store, accounts)
        self.desk = Desk(
            self.service, self.http, self.upstream, accounts, self.bots, self.mirror.accounts,
            self.operations.alerts.tell, self.memory.shadow, enforce=self.configuration.upstream.enforce,
            withdrawals=self.configuration.upstream.withdrawals,
        )  # fmt: skip
        self.desk.why_left_out, self.desk.contract_sizes = self.mirror.left_out, self.mirror.contract_sizes
        self.desk.recalled(self.memory.statements)
        self.service.listeners.append(self.desk.heard)
        self.operations.upstream = self.desk.status
        self.door = DeskDoor(self.desk)
        self._watches.append(asyncio.create_task(self._watch(venue)))
        self._watches += [asyncio.create_task(copy.run()) for copy in self.desk.copies.values()]
        await self.desk.seen(SIGHT_S)

    def _check_bots(self) -> None:
        """Raise InputError for a bot that the journal did not begin with, or that is left out and has something."""
        known, view = self.mirror.accounts, self.service.view
        if missing := set(self.bots) - set(known):
            rule = "must be those the journal began with; another one begins in another data folder"
            raise InputError("upstream.bots", sorted(missing), rule)
        held = {account for (account, _), lots in view.positions.items() if lots}
        gone = {name: number for name, number in known.items() if name not in self.bots}
        having = [name for name, at in gone.items() if at in held or any(view.ledger.of(at).balance.values())]
        if having:
            rule = "must not be left out: what they have is part of their account's; revoke their keys instead"
            raise InputError("upstream.bots", sorted(having), rule)

    def _check_groups(self) -> None:
        """Raise InputError for a bot of another desk or firm than in the journal: its limits would not hold for it."""
        groups = self.service.node.fold.engine.catalogue.groups
        for name, bot in self.bots.items():
            wanted = {self.mirror.groups.get(group, -1) for group in _groups(bot).values()}
            if wanted != {group for group in groups[self.mirror.accounts[name]] if group}:
                rule = "must be of the desk and firm that the journal began with"
                raise InputError(f"upstream.bots.{name}", f"{bot.desk or '-'}, {bot.firm or '-'}", rule)

    def _accounts(self, store: Keystore) -> dict[str, Credentials]:
        """Our keys at the venue: those given now, and of other accounts the sealed ones. Raises InputError where none
        is, and for a key under two names: its account's money and orders would count twice."""
        given, known = self._credentials, store.registry.upstream
        self._changed = {new.key for name, new in given.items() if name in known and known[name] != new}
        found = {**known, **given}
        if not found:
            raise InputError("--upstream-keys", "", "must be given at the first start: our keys at the venue")
        named: dict[str, str] = {}
        for name, one in found.items():
            if (other := named.setdefault(one.key, name)) != name:
                raise InputError("--upstream-keys", name, f"must have a key of its own: it has that of {other}")
        return found

    def _hand_out(self, store: Keystore, accounts: dict[str, Credentials]) -> None:
        """Keys for bots that have none: each in a file of its own, or, if so set, the venue's own key again."""
        if self.configuration.upstream.same_keys:
            alone = [name for name, bot in self.bots.items() if self._alone(bot)]
            rights = dict.fromkeys(SCOPES, "read_write")
            same = [
                Key(accounts[self.bots[name].account].key, accounts[self.bots[name].account].secret,
                    self.mirror.accounts[name], name, rights)
                for name in alone
            ]  # fmt: skip
            new = same_again(store.registry.keys, same, self._changed)
            store.change_now(lambda registry: registry.keys.update((key.id, key) for key in new))
        folder = self.configuration.home_folder / "bots"
        for key in self._make_keys(store, self.bots):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = folder / f"{key.name}.toml"
            write_secret(file, f'key = "{key.id}"\nsecret = "{key.secret}"\n')
            self._log.info("a bot's key was made", bot=key.name, file=str(file))

    def _alone(self, bot: Bot) -> bool:
        return sum(other.account == bot.account for other in self.bots.values()) == 1

    async def _look(self, http: aiohttp.ClientSession) -> Connection:
        venue = await Connection.open(http, self.upstream, lambda text: None)
        self._watches = [watch for watch in self._watches if not watch.done()]
        self._watches.append(asyncio.create_task(venue.read()))
        return venue

    async def _watch(self, venue: Connection) -> None:
        """Marks and catalogue, once a second, over as many connections as it takes."""
        blind = False
        while True:
            await asyncio.sleep(QUOTES_S)
            self.desk.tell_counts()
            try:
                if venue.closed:
                    venue = await self._look(self.http)
                for batch in await self._feed.step(venue, self.desk.held):
                    await self._send(batch)
                blind = False
            except (Unreachable, VenueError) as error:
                if not blind:  # once; the alert of a late publisher says that it goes on
                    self._log.warning("no marks from the venue", why=str(error))
                blind = True
            except Exception as error:
                # Marks that cannot be understood are no marks: the gate fails closed by their age (C17).
                if not blind:
                    self._log.exception("the venue's marks were not understood", error=repr(error))
                blind = True
                if isinstance(error, MemoryError | SeawallError):
                    raise

    def _heard(self, group: Group, changes: Any) -> None:
        super()._heard(group, changes)
        self.mirror.observe(group.events)

    def _told_keys(self) -> Iterable[str]:
        return self.bots if self.dev else ()

    def ready(self) -> dict[str, Any]:
        """The line that says where everything is, and how orders are treated."""
        mode = "enforce" if self.configuration.upstream.enforce else "observe"
        return super().ready() | {"upstream": self.upstream.url, "mode": mode}

    async def stop(self) -> None:
        """Drain; what stands at the venue stays there, but for what was to go with its connection."""
        self.desk.tell_counts(now=True)
        self.desk.flush()
        await super().stop()
        await self.http.close()


def _groups(bot: Bot) -> dict[Role, str]:
    return {role: name for role, name in ((Role.DESK, bot.desk), (Role.FIRM, bot.firm)) if name}


def _bots(wanted: dict[str, Bot], accounts: dict[str, Credentials]) -> dict[str, Bot]:
    """Bots by name, each with its account at the venue. Raises InputError for one whose account has no key."""
    bots = wanted or {name: Bot(name) for name in accounts}
    made = {name: msgspec.structs.replace(bot, account=bot.account or name) for name, bot in bots.items()}
    for name, bot in made.items():
        if bot.account not in accounts:
            raise InputError(f"upstream.bots.{name}.account", bot.account, f"must be one of {', '.join(accounts)}")
    for account in accounts:
        if all(bot.account != account for bot in made.values()):
            raise InputError("upstream.bots", sorted(made), f"must have one on account {account}")
    return made


def same_again(known: dict[str, Key], same: list[Key], changed: set[str]) -> list[Key]:
    """Of the venue's own keys those to take now: new ones, and a secret that the venue changed (`changed`, by key).

    One that was revoked here stays so, and so does a secret that was rotated here.
    """
    new = [key for key in same if key.id not in known]
    others = [known[key.id] for key in same if key.id in changed and key.id in known and not known[key.id].revoked]
    secrets = {key.id: key.secret for key in same}
    return new + [msgspec.structs.replace(key, secret=secrets[key.id]) for key in others]
