"""Settings: each refused with its name, its value and the rule; what is read is what is written."""

import re
from pathlib import Path

import pytest

from seawall.node import Configuration
from seawall.node.configuration import setting_names
from seawall.risk import MODELS, MarketView, Seawall
from seawall.vocabulary.errors import ConfigurationError

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def read(tmp_path, text):
    file = tmp_path / "seawall.toml"
    file.write_text(text)
    return Configuration.read(file)


def test_an_empty_file_gives_the_defaults_and_paths_are_taken_from_the_file(tmp_path):
    made = read(tmp_path, "")
    assert made.folders == (tmp_path / "journal" / "a", tmp_path / "journal" / "b")
    made = read(tmp_path, 'data = "x"\nmirror = "/y"\nhome = "z"\narchive = "old"')
    assert (made.home_folder, made.archive) == (tmp_path / "z", str(tmp_path / "old"))
    assert made.folders == (tmp_path / "x" / "a", Path("/y/b"))
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch(0o600)
    made = read(tmp_path, '[operations.tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n[operators]\nbackup = "kept"\n')
    assert made.operations.tls.certificate == str(tmp_path / "cert.pem")
    assert (made.operations.tls.client_ca, made.operators.backup) == ("", str(tmp_path / "kept"))


def test_the_same_settings_come_back_from_the_written_file(tmp_path):
    made = read(
        tmp_path,
        'data = "/x"\ngroup = 9\n[sim]\nseed = 5\n[margin]\nmodel = "standard"\n'
        "[margin.standard.schedules.BTC]\ninitial_ppm = 30000\nmaintenance_ppm = 20000\nper_coin_ppm = 10\n",
    )
    assert read(tmp_path, made.toml()) == made
    assert made.model().name == "standard"
    assert list(made.margin.standard.schedules) == ["BTC"]


def test_every_margin_model_may_be_chosen(tmp_path):
    for name in MODELS:
        assert read(tmp_path, f'[margin]\nmodel = "{name}"').model().name == name
    made = read(tmp_path, "[margin.published.underlyings.BTC]\nvolatility_floor = 0.25\n")
    assert made.model().fitted().of("BTC").volatility_floor == 0.25
    assert read(tmp_path, made.toml()) == made
    made = read(tmp_path, '[margin]\nmodel = "paradex"\n[margin.published.assets.BTC]\nunhedged = 0.03\n')
    assert made.model().parameters == {"assets": {"BTC": {"unhedged": 0.03}}}
    assert read(tmp_path, made.toml()) == made


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("group = 0", "group"),
        ("group = 65537", "group"),
        ('group = "many"', "group"),
        ("snapshot_frames = -1", "snapshot_frames"),
        ("segment_bytes = 1000000", "segment_bytes"),
        ("segment_bytes = 4096", "segment_bytes"),
        ('engine = "quick"', "engine"),
        ('date = "x"', "date"),
        ("[sim]\nseed = -1", "sim.seed"),
        ("[sim]\nsede = 1", "sim.sede"),
        ("[margin]\ncoin_haircut = 1.5", "margin.coin_haircut"),
        ("[margin]\ncoin_markup = -0.1", "margin.coin_markup"),
        ('[margin]\nmodel = "guess"', "margin.model"),
        ('[margin]\nmodel = "scenarios"', "margin.model"),
        ("[margin.published]\nmm_factor = 1.0", "margin.published"),
        ("[margin.published.others]\nvolatility_up = -1", "margin.published.others.volatility_up"),
        ("[margin.published.others]\nnet_delta = [0.1, 0.2]", "margin.published.others.net_delta"),
        ('[margin]\nmodel = "standard"\n[margin.published]\nmm_factor = 1.0', "margin.published"),
        ('[margin]\nmodel = "paradex"\n[margin.published]\nmm_factor = 1.0', "margin.published"),
        ('[margin]\nmodel = "deribit-portfolio"\n[margin.published]\nmm_factor = -1.0', "margin.published.mm_factor"),
        ("[margin.scenarios]\nvolatility_up = 1", "margin.scenarios"),
        ("[margin.standard]\noption_initial_ppm = -1", "margin.standard.option_initial_ppm"),
        ('data = ""', "data"),
        ("[operators]\ndisk_hours = nan", "operators.disk_hours"),
        ("[operators]\ndisk_hours = -1", "operators.disk_hours"),
        ('[trading]\nhost = "0.0.0.0"', "trading.host"),
        ('[trading.tls]\nclient_ca = "ca.pem"', "trading.tls"),
        ("group = = 1", "file"),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_the_rule(tmp_path, text, field):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert caught.value.field == field
    assert caught.value.rule
    assert caught.value.value == "" if text == 'data = ""' else caught.value.value != ""


def test_a_word_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ConfigurationError, match="engine = 'slow': must be one of fast, reference"):
        read(tmp_path, 'engine = "slow"')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="readable"):
        Configuration.read(tmp_path / "none.toml")


def test_every_setting_is_documented_and_nothing_else():
    documented = re.findall(r"^\| `([a-z_.]+)` \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(setting_names())
    assert len(documented) == len(set(documented))


def test_the_documented_defaults_are_the_defaults():
    made, rows = Configuration(), re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", DOCS.read_text(), re.MULTILINE)
    for name, default in rows:
        value = made
        for part in name.split("."):
            value = getattr(value, part)
        if isinstance(value, str | int | float):
            assert default.strip().strip("`") == (value if isinstance(value, str) else f"{value}") or (
                value == "" and default.strip() == "none"
            ), name


def test_a_model_that_is_plugged_in_publishes(tmp_path, monkeypatch):
    """By an entry point, as `seawall margin` finds it; one that cannot publish is refused."""
    (tmp_path / "houses.py").write_text(
        "from seawall.risk import Seawall\n"
        "class House:\n"
        "    name = 'house'\n"
        "    def publish(self, market):\n"
        "        return Seawall().publish(market)\n"
        "class Silent:\n"
        "    name = 'silent'\n"
    )
    folder = tmp_path / "houses-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: houses\nVersion: 1\n")
    points = "[seawall.margin_models]\nhouse = houses:House\nsilent = houses:Silent\n"
    (folder / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = read(tmp_path, '[margin]\nmodel = "house"').model()
    view = MarketView(1_790_000_000 * 10**9, {}, {}, {})
    assert made.name == "house" and made.publish(view) == Seawall().publish(view)
    for text, field in (
        ('[margin]\nmodel = "silent"', "margin.model"),
        ('[margin]\nmodel = "house"\n[margin.published]\nmm_factor = 1.0', "margin.published"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            read(tmp_path, text)
        assert refused.value.field == field
