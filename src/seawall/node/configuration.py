"""One TOML file; `docs/configuration.md` documents every setting, and a test holds the two equal.

Paths are relative to the folder of the file. Unknown settings are refused: a misspelt limit must not pass silently.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args, get_origin

import msgspec

from seawall.journal import folders_of
from seawall.journal.layout import PAGE_BYTES
from seawall.node.listening import Tls, check_listening
from seawall.risk import MODELS, MarginModel, StandardParameters
from seawall.risk.cadence import Cadence
from seawall.risk.margin.models import model as plugged_in
from seawall.risk.margin.models import names
from seawall.risk.margin.rules import PublishedRules
from seawall.vocabulary.errors import ConfigurationError, InputError

SEGMENT_BYTES_MAX: Final = 1 << 31
GROUP_MAX: Final = 65_536
SNAPSHOT_FRAMES_MAX: Final = 2**31
_PLACES: Final = (
    "data", "mirror", "home", "archive", "operators.backup",
    *(f"{door}.tls.{file}" for door in ("trading", "operations") for file in ("certificate", "key", "client_ca")),
)  # fmt: skip
"""Settings that name a folder or a file."""


class Margin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Margin model and its parameters; haircut and markup as fractions for coins that are not dollars."""

    model: str = "seawall"
    coin_haircut: float = 0.10
    coin_markup: float = 0.05
    standard: StandardParameters = msgspec.field(default_factory=StandardParameters)
    published: dict[str, Any] = msgspec.field(default_factory=dict)
    """Of any model but standard: what replaces parameters of its data file."""


class Listening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a door listens; port 0 is any free one. Beyond loopback it needs TLS, operations also `client_ca`."""

    host: str = "127.0.0.1"
    port: int = 0
    tls: Tls = msgspec.field(default_factory=Tls)


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a second, and how many at once after a pause; 0 a second: no limit."""

    rate: float = 0.0
    burst: float = 0.0


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of an account, or of an address where nobody is logged in: order entry, and everything else."""

    trading: Rate = Rate(5, 20)
    other: Rate = Rate(20, 100)
    connections: int = 32
    """WebSockets of one address; 0: no limit."""


class Operators(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the operations door: an alert when less than `disk_hours` of disk time are left; margin parameters take effect
    `notice_h` hours after they were put to signature, sooner with one more, and where the book's margin would be more
    than `rise_cap` times what it was within days, with one more, too; `backup` is the folder of POST /backup."""

    disk_hours: float = 24.0
    notice_h: float = 24.0
    rise_cap: float = 1.25
    backup: str = ""


class Clearing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a venue that people run: the most that funding may be for 8 hours, as a fraction; 0: there is none."""

    funding_cap: float = 0.005


class Bot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bot of a desk: `account` at the venue (its own name if empty), share of that account's money by weight, starts
    of labels by which orders from elsewhere are known as its own, the desk and the firm it belongs to."""

    account: str = ""
    share: float = 1.0
    labels: tuple[str, ...] = ()
    desk: str = ""
    firm: str = ""


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Desk mode: the venue that orders go to; `enforce` or only observe; whether money may leave; whether a bot that is
    alone on its account keeps the venue's key as its own; what is weighed; without `bots`, one for each account."""

    url: str = ""
    enforce: bool = False
    withdrawals: bool = False
    same_keys: bool = False
    underlyings: tuple[str, ...] = ("BTC", "ETH")
    bots: dict[str, Bot] = {}


class Simulation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated market."""

    seed: int = 1


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a node is told; see docs/configuration.md."""

    data: str = "journal"
    mirror: str = ""
    home: str = ""
    archive: str = ""
    segment_bytes: int = 16 << 20
    group: int = 512
    snapshot_frames: int = 20_000
    engine: Literal["fast", "reference"] = "fast"
    margin: Margin = msgspec.field(default_factory=Margin)
    sim: Simulation = msgspec.field(default_factory=Simulation)
    trading: Listening = Listening(port=8080)
    operations: Listening = Listening(port=8081)
    rates: Rates = Rates()
    operators: Operators = Operators()
    clearing: Clearing = Clearing()
    publisher: Cadence = msgspec.field(default_factory=Cadence)
    upstream: Upstream = Upstream()

    @classmethod
    def read(cls, file: Path) -> Self:
        """The settings of a TOML file, checked. Raises ConfigurationError naming field, value and rule."""
        try:
            text = file.read_bytes()
        except OSError as error:
            raise ConfigurationError("file", str(file), f"must be readable: {error.strerror}") from error
        try:
            settings: dict[str, Any] = msgspec.toml.decode(text)
        except msgspec.DecodeError as error:
            raise ConfigurationError("file", str(file), f"must be TOML: {error}") from error
        return cls.of(settings, file.parent)

    @classmethod
    def of(cls, settings: dict[str, Any], folder: Path = Path()) -> Self:
        """The same from a dictionary; relative paths are taken from `folder`."""
        _refuse_unknown(settings, cls, "")
        margin = settings.get("margin")
        if isinstance(margin, dict) and margin.get("model") == "scenarios":
            raise ConfigurationError("margin.model", "scenarios", "is seawall now, its parameters in margin.published")
        try:
            made = msgspec.convert(settings, cls)
        except msgspec.ValidationError as error:
            rule, _, where = str(error).partition(" - at `$.")
            field = where.rstrip("`") or "settings"
            if choices := _choices(field):
                rule = f"must be one of {', '.join(choices)}"
            raise ConfigurationError(field, _value_at(settings, field), rule) from error
        except ConfigurationError as error:  # a parameter class knows its own names only
            raise ConfigurationError(_dotted(error.field), error.value, error.rule) from error
        if not made.data:
            raise ConfigurationError("data", made.data, "must name a folder")
        for place in _PLACES:
            made = _placed(made, place, folder)
        made.check()
        return made

    def check(self) -> None:
        """Raise ConfigurationError for the first setting that breaks its rule."""
        for field, value, low, high in (
            ("segment_bytes", self.segment_bytes, 64 * PAGE_BYTES, SEGMENT_BYTES_MAX),
            ("group", self.group, 1, GROUP_MAX),
            ("snapshot_frames", self.snapshot_frames, 0, SNAPSHOT_FRAMES_MAX),
            ("margin.coin_haircut", self.margin.coin_haircut, 0, 0.99),
            ("margin.coin_markup", self.margin.coin_markup, 0, 10),
            ("clearing.funding_cap", self.clearing.funding_cap, 0, 1),
            ("operators.disk_hours", self.operators.disk_hours, 0, 24 * 365),
            ("operators.notice_h", self.operators.notice_h, 0, 24 * 365),
            ("operators.rise_cap", self.operators.rise_cap, 1, 1000),
            ("sim.seed", self.sim.seed, 0, 2**63 - 1),
        ):
            if not low <= value <= high:
                raise ConfigurationError(field, value, f"must lie in [{low}, {high}]")
        self._check_margin()
        for name, door in (("trading", self.trading), ("operations", self.operations)):
            if not 0 <= door.port <= 65535:
                raise ConfigurationError(f"{name}.port", door.port, "must lie in [0, 65535]")
            door.tls.check(f"{name}.tls")
            check_listening(name, door.host, door.tls.on, door.tls.mutual)
        for name, bot in self.upstream.bots.items():
            if not re.fullmatch(r"[\w.-]{1,32}", name, re.ASCII):
                raise ConfigurationError("upstream.bots", name, "must be 1 to 32 letters, digits, dots, dashes")
            if not 0 < bot.share <= 1e9:
                raise ConfigurationError(f"upstream.bots.{name}.share", bot.share, "must lie in (0, 1e9]")
        if self.rates.connections < 0:
            raise ConfigurationError("rates.connections", self.rates.connections, "must not be below 0")
        for name, rate in (("trading", self.rates.trading), ("other", self.rates.other)):
            if not (0 <= rate.rate <= 1e9 and rate.burst >= min(rate.rate, 1)):
                raise ConfigurationError(
                    f"rates.{name}", (rate.rate, rate.burst), "must not be below 0, nor burst below 1"
                )
        if self.segment_bytes % PAGE_BYTES:
            raise ConfigurationError("segment_bytes", self.segment_bytes, f"must be a multiple of {PAGE_BYTES}")

    def _check_margin(self) -> None:
        """Raise ConfigurationError where parameters of a published model do not fit it, or are of none."""
        model = self.model()
        if isinstance(model, PublishedRules):
            try:
                model.check()
            except InputError as error:
                field = error.field.removeprefix("parameters").removeprefix(".")
                field = ".".join(filter(None, ("margin.published", field)))
                raise ConfigurationError(field, error.value, error.rule) from error
        elif self.margin.published:
            rule = (
                "is for models with a data file: standard has a table of its own, and what is plugged in its defaults"
            )
            raise ConfigurationError("margin.published", list(self.margin.published), rule)

    @property
    def folders(self) -> tuple[Path, Path]:
        """The two copies of the journal: `data`/a, and b in `mirror` or `data`."""
        first, second = folders_of(Path(self.data))
        return first, Path(self.mirror) / second.name if self.mirror else second

    @property
    def home_folder(self) -> Path:
        """The folder that keeps the journal's id."""
        return Path(self.home or self.data)

    def with_ports(self, ports: dict[str, int]) -> "Configuration":
        """The same with other ports of the doors `trading` and `operations`."""
        doors = {name: msgspec.structs.replace(getattr(self, name), port=port) for name, port in ports.items()}
        return msgspec.structs.replace(self, **doors)

    def model(self) -> MarginModel:
        """The margin model with its parameters. Raises ConfigurationError for one that is not there.

        One plugged in is constructed without arguments, but with `margin.published` where it is a `PublishedRules`.
        """
        name = self.margin.model
        if name in MODELS:
            kind: Any = MODELS[name]
            made: MarginModel = kind(parameters=self.margin.standard if name == "standard" else self.margin.published)
            return made
        try:
            plugged: Any = plugged_in(name)
        except InputError as error:
            rule = f"must be one of {sorted({*MODELS, *names()})}"
            raise ConfigurationError("margin.model", name, rule) from error
        if not callable(getattr(plugged, "publish", None)):
            raise ConfigurationError("margin.model", name, "publishes nothing: it has no publish(market)")
        if isinstance(plugged, PublishedRules):
            plugged = type(plugged)(parameters=self.margin.published)
        publishing: MarginModel = plugged
        return publishing

    def toml(self) -> str:
        """The settings as a TOML file that reads back the same."""
        lines: list[str] = []
        _write(msgspec.to_builtins(self), "", lines)
        return "\n".join(lines) + "\n"


def _fields(kind: Any) -> dict[str, Any]:
    """Names and types of a settings class; empty for a plain value."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.name: field.type for field in msgspec.structs.fields(kind)}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return {field.name: field.type for field in dataclasses.fields(kind)}
    return {}


def _choices(field: str) -> tuple[str, ...]:
    """The words that a setting may be; empty where it is of another kind."""
    kind: Any = Configuration
    for name in field.split("."):
        kind = _fields(kind).get(name)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _placed(settings: Any, place: str, folder: Path) -> Any:
    """The same with one path taken from `folder` where it is relative."""
    name, _, rest = place.partition(".")
    now = getattr(settings, name)
    found = _placed(now, rest, folder) if rest else str(folder / now) if now else ""
    return msgspec.structs.replace(settings, **{name: found})


def _refuse_unknown(settings: dict[str, Any], kind: Any, where: str) -> None:
    known = _fields(kind)
    for name, value in settings.items():
        if name not in known:
            raise ConfigurationError(f"{where}{name}", value, f"is not a setting; there are {', '.join(known)}")
        if isinstance(value, dict) and _fields(known[name]):
            _refuse_unknown(value, known[name], f"{where}{name}.")


def _dotted(field: str) -> str:
    """A parameter's field, e.g. schedules[BTC].initial_ppm, with the tables it stands in."""
    name = field.partition("[")[0]
    return next(path for path in setting_names() if path.rpartition(".")[2] == name).removesuffix(name) + field


def _value_at(settings: dict[str, Any], path: str) -> object:
    value: Any = settings
    for name in path.replace("[...]", "").split("."):
        value = value.get(name) if isinstance(value, dict) else value
    return value


def setting_names(kind: Any = Configuration, where: str = "") -> list[str]:
    """Every setting by its dotted name, in order."""
    names = []
    for name, inner in _fields(kind).items():
        names += setting_names(inner, f"{where}{name}.") if _fields(inner) else [f"{where}{name}"]
    return names


def _write(settings: dict[str, Any], where: str, lines: list[str]) -> None:
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    for name, value in settings.items():
        if name not in tables:
            lines.append(f"{name} = {_toml_value(name, value)}")
    for name, table in tables.items():
        lines += ["", f"[{where}{name}]"]
        _write(table, f"{where}{name}.", lines)


def _toml_value(name: str, value: Any) -> str:
    if name == "effective":
        return str(value)  # a date: TOML writes it bare
    return msgspec.json.encode(value).decode()
