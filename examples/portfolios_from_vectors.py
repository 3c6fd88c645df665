"""Turn a file of published margin cases into portfolios that `seawall margin` reads, one file for each case.

    python examples/portfolios_from_vectors.py VECTORS.json OUTDIR

prints, for each case, the model to ask and where its published number stands in the answer. docs/margin.md says what a
source leaves open (a strike, a date) and what is put there.
"""

import json
import sys
from datetime import UTC, datetime
from math import inf, nextafter
from pathlib import Path

DAY = 86_400_000
YEAR = 365 * DAY


def milliseconds(text):
    """Of a day such as 2023-01-01, midnight UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def portfolio(time, underlyings, **parts):
    """A portfolio of the format; `instruments`, `expiries`, `currencies` go to the market."""
    market = {"underlyings": underlyings}
    market |= {name: parts.pop(name) for name in ("instruments", "expiries", "currencies") if parts.get(name)}
    return {"format": 1, "time": time, "market": market} | {name: part for name, part in parts.items() if part}


def option(underlying, currency, expiry, strike, kind, **market):
    """An option on one coin."""
    spec = {"kind": "option", "underlying": underlying, "currency": currency}
    return spec | {"expiry": expiry, "strike": strike, "option": kind, **market}


def add(positions, name, size):
    """An instrument is held in one position."""
    for held in positions:
        if held["instrument"] == name:
            held["size"] += size
            return
    positions.append({"instrument": name, "size": size})


def perpetual(underlying, currency, mark, **market):
    """A linear perpetual of one coin a contract."""
    return {"kind": "perpetual", "underlying": underlying, "currency": currency, "mark": mark, **market}


def derive_1(case):
    """Derive PMRM: the published integers are figures im_truncated and mm_truncated."""
    time, market = milliseconds("2023-01-01"), case["market"]
    ends = {label: time + 1000 * feed["sec_to_expiry"] for label, feed in market["expiries"].items()}
    instruments, positions = {}, []
    for held in case["options"]:
        quote = market["vols"][f"{held['expiry']}:{held['strike']}"]
        name = f"ETH-{held['expiry']}-{held['strike']:g}-{held['type'][0].upper()}"
        instruments[name] = option(
            "ETH", "USDC", ends[held["expiry"]], held["strike"], held["type"],
            volatility=quote["vol"], confidence=quote["confidence"],
        )  # fmt: skip
        add(positions, name, held["amount"])
    for held in case["perps"]:
        instruments["ETH-PERP"] = perpetual("ETH", "USDC", market["perp_price"], confidence=market["perp_confidence"])
        positions.append({"instrument": "ETH-PERP", "size": held["amount"], "entry_price": held["entry_price"]})
    expiries = [
        {
            "underlying": "ETH",
            "time": ends[label],
            "forward": feed["forward"],
            "rate": feed["rate"],
            "forward_confidence": feed["forward_confidence"],
            "rate_confidence": feed["rate_confidence"],
        }
        for label, feed in market["expiries"].items()
    ]
    return "derive-pmrm", portfolio(
        time,
        {"ETH": {"index": market["spot"], "confidence": market["spot_confidence"]}},
        instruments=instruments,
        expiries=expiries,
        currencies={"USDC": {"price": market["stable_price"]}},
        positions=positions,
        balances={"USDC": case["cash"], "ETH": sum(held["amount"] for held in case["bases"])},
    )  # fmt: skip


def derive_2(case):
    """Derive PMRM 2: figures initial_margin, maintenance_margin and scenario_pnl. The coin is BTC above 20,000 USD."""
    held, time = case["scenario"], 1_739_934_748_000
    coin = "BTC" if held["SpotPrice"] > 20_000 else "ETH"
    instruments, positions = {}, []
    confidences = {feed["FeedExpiry"]: feed["OptionVolConfidences"] for feed in held["OptionFeeds"]}
    for item in held["Options"]:
        kind = "call" if item["IsCall"] else "put"
        name = f"{coin}-{item['Expiry']}-{item['Strike']:.17g}-{kind[0].upper()}"
        instruments[name] = option(
            coin, "USDC", time + 1000 * item["Expiry"], item["Strike"], kind,
            volatility=item["MarkVol"], confidence=confidences[item["Expiry"]],
        )  # fmt: skip
        add(positions, name, item["Amount"])
    if held["NumPerps"]:
        instruments["PERP"] = perpetual(coin, "USDC", held["PerpPrice"], confidence=held["PerpConfidence"])
        positions.append(
            {
                "instrument": "PERP",
                "size": held["NumPerps"],
                "unrealised": held["UnrealisedPerpPNL"],
                "funding": held["UnrealisedFunding"],
            }
        )
    expiries = [
        {
            "underlying": coin,
            "time": time + 1000 * feed["FeedExpiry"],
            "forward": feed["Forward"],
            "rate": feed["Rate"],
            "forward_confidence": feed["ForwardConfidence"],
            "rate_confidence": feed["RateConfidence"],
        }
        for feed in held["OptionFeeds"]
    ]
    currencies = {
        item["Name"]: {"price": item["Price"], "confidence": item["Confidence"]} for item in held["Collaterals"]
    }
    return "derive-pmrm-2", portfolio(
        time,
        {coin: {"index": held["SpotPrice"], "confidence": held["SpotConfidence"]}},
        instruments=instruments,
        expiries=expiries,
        currencies={"USDC": {"price": held["StablePrice"], "confidence": held["StableConfidence"]}} | currencies,
        positions=positions,
        balances={"USDC": held["Cash"]} | {item["Name"]: item["Amount"] for item in held["Collaterals"]},
        parameters=derive_2_parameters(case["parameters"], held["Collaterals"], coin),
    )  # fmt: skip


DERIVE_2 = {
    "volatility_shock": ("VolShock", {
        "up": "VOLRANGEUP", "down": "VOLRANGEDOWN", "short_power": "SHORTTERMPOWER", "long_power": "LONGTERMPOWER",
        "dte_floor": "DTE_FLOOR", "floor": "MIN_VOL_EVAL_SHOCKED",
    }),
    "skew": ("SkewShock", {
        "linear_base": "LINEAR_SCALE_CAP", "linear_slope": "LINEAR_CBASE", "abs_base": "ABS_SCALE_CAP",
        "abs_slope": "ABS_CBASE", "k_min": "MIN_K_STAR", "width": "MIN_WIDTH_SCALE",
        "volatility_base": "VOL_PARAM_STATIC", "volatility_slope": "VOL_PARAM_SCALE",
    }),
    "factors": ("Margin", {
        "maintenance": "MM_LOSS_FACTOR", "initial": "IM_LOSS_FACTOR",
        "long_discount": "BASE_STATIC_DISCOUNT", "long_rate_scale": "LONG_RATE_MULTSCALE",
        "long_rate_add": "LONG_RATE_ADDSCALE", "short_markup": "BASE_STATIC_DISCOUNT_NEG",
        "short_rate_scale": "SHORT_RATE_MULTSCALE", "short_rate_add": "SHORT_RATE_ADDSCALE",
    }),
    "basis": ("BasisContingency", {
        "up": "SCENARIO_SPOT_UP", "down": "SCENARIO_SPOT_DOWN", "add": "BASIS_CONT_ADD_FACTOR",
        "per_year": "BASIS_CONT_MULT_FACTOR",
    }),
    "contingency": ("OtherContingency", {
        "maintenance_perpetual": "MM_PERP_PERCENT", "initial_perpetual": "IM_PERP_PERCENT",
        "maintenance_option": "MM_OPTION_PERCENT", "initial_option": "IM_OPTION_PERCENT",
        "peg_threshold": "PEG_LOSS_THRESHOLD", "peg_factor": "PEG_LOSS_FACTOR",
        "confidence_threshold": "CONF_THRESHOLD", "confidence_factor": "CONF_MARGIN",
    }),
}  # fmt: skip


def derive_2_parameters(published, collaterals, coin):
    """The case's own parameters under our names."""
    made = {
        name: {ours: published[theirs][field] for ours, field in fields.items()}
        for name, (theirs, fields) in DERIVE_2.items()
    }
    made["scenarios"] = [
        {
            "spot": item["SpotShock"],
            "volatility": item["VolShockDirection"].lower(),
            "dampening": item["DampeningFactor"],
        }
        for item in published["Scenarios"]
    ]
    made["collateral"] = {
        coin: {
            item["Name"]: {
                "initial_haircut": item["IMHaircut"],
                "maintenance_haircut": item["MMHaircut"],
                "risk_cancelling": item["IsRiskCancelling"],
            }
            for item in collaterals
        }
    }
    return made


def paradex(case):
    """Paradex: the figure that the case's type names. Perpetual marks and forwards are the spot."""
    asked = case["input"]
    if case["type"] == "shocked_iv":
        return paradex_shocked_volatility(asked)
    march = asked.get("table") == "BTC_march_2026"
    coin = "HYPE" if asked.get("table", "").startswith("HYPE") else "BTC"
    time, spot = milliseconds("2026-03-20" if march else "2026-07-20"), asked["spot"]
    instruments, positions, ends = {}, [], set()
    for number, held in enumerate(asked["positions"]):
        name = f"{coin}-{number}"
        if held.get("type") == "perp" or held.get("delta") == 1:
            instruments[name] = perpetual(coin, "USDC", spot)
        else:
            # The min-delta example states a delta and nothing else: strike, volatility and days are ours.
            end = time + round(held.get("dte", 14) * DAY)
            given = {"delta": held["delta"]} if "delta" in held else {}
            instruments[name] = option(
                coin, "USDC", end, held.get("strike", spot), held.get("type", "call"),
                volatility=held.get("iv", 0.5), **given,
            )  # fmt: skip
            ends.add(end)
        positions.append({"instrument": name, "size": held["qty"]})
    parameters = {}
    if case["type"] == "min_delta":
        factors = {"unhedged": asked["factor_unhedged"], "hedged": asked["factor_hedged"]}
        parameters = {"assets": {coin: factors}}
    return "paradex", portfolio(
        time,
        {coin: {"index": spot}},
        instruments=instruments,
        expiries=[{"underlying": coin, "time": end, "forward": spot} for end in sorted(ends)],
        currencies={"USDC": {"price": 1.0}},
        positions=positions,
        parameters=parameters,
    )


def paradex_shocked_volatility(asked):
    """One option in one scenario: `shocked_volatility` of its contribution is the published number."""
    time, spot = milliseconds("2026-07-20"), 70_000.0
    end = time + round(asked["dte"] * DAY)
    row = [0.0, asked["vol_shock"], 1.0]
    return "paradex", portfolio(
        time,
        {"BTC": {"index": spot}},
        instruments={"BTC-0": option("BTC", "USDC", end, spot, "call", volatility=asked["mark_iv"])},
        expiries=[{"underlying": "BTC", "time": end, "forward": spot}],
        currencies={"USDC": {"price": 1.0}},
        positions=[{"instrument": "BTC-0", "size": 1.0 if asked["vol_shock"] < 0 else -1.0}],
        parameters={"assets": {"BTC": {"scenarios": [row]}}},
    )


def contracts(coins, mark):
    """Contracts of one dollar that are exactly `coins` at `mark`, where doubles have such a number."""
    size = coins * mark
    near = [size]
    for _ in range(4):
        near = [nextafter(near[0], -inf), *near, nextafter(near[-1], inf)]
    return min(near, key=lambda trial: (abs(trial / mark - coins), abs(trial - size)))


def deribit_portfolio(case):
    """Deribit's risk matrix: figures under the venue's names. Futures only: the source publishes nothing else."""
    asked = case["input"]
    given, marks = asked["model_params"], asked.get("mark_price", {})
    coin = next(iter(asked["position"])).partition("-")[0]
    coin = coin if coin in ("BTC", "ETH") else "BTC"
    time = given.get("timestamp_ms", milliseconds("2026-07-20"))
    instruments, positions = {}, []
    for name, coins in asked["position"].items():
        mark, end = marks.get(name, asked.get("index_price", 1.0)), name.partition("-")[2]
        instruments[name] = {"kind": "perpetual", "underlying": coin, "currency": coin, "form": "inverse", "mark": mark}
        if end != "PERPETUAL":
            # Deribit's contracts expire at 08:00 UTC of the day they are named after.
            day = datetime.strptime(end, "%d%b%y").replace(tzinfo=UTC, hour=8)
            instruments[name] |= {"kind": "future", "expiry": int(day.timestamp() * 1000)}
        positions.append({"instrument": name, "size": contracts(coins, mark)})
    pair = {name: given[name] for name in DERIBIT_PAIR if name in given}
    settled = {name: given[name] for name in DERIBIT_CURRENCY if name in given}
    add_ons = {name: asked[name] for name in ("mmp_margin", "open_orders_margin", "spot_margin") if name in asked}
    parameters = {"pairs": {coin: pair}, "currencies": {coin: settled}, "add_ons": {coin: add_ons}}
    parameters |= {name: given[name] for name in ("mm_factor", "buckets_count") if name in given}
    return "deribit-portfolio", portfolio(
        time,
        {coin: {"index": asked.get("index_price", 1.0)}},
        instruments=instruments,
        positions=positions,
        parameters=parameters,
    )


DERIBIT_PAIR = (
    "price_range", "m_inc", "min_volatility_for_shock_up", "volatility_range_up", "volatility_range_down",
    "short_term_vega_power", "long_term_vega_power", "extended_table_factor", "max_delta_shock",
    "delta_total_liq_shock_threshold",
)  # fmt: skip
DERIBIT_CURRENCY = (
    "pnl_offset", "max_offsetable_pnl", "annualised_move_risk", "min_annualised_move", "extended_dampener",
)  # fmt: skip


def deribit_standard(case):
    """Deribit's standard margin: the requirement, in coin. The case of the mark price's rule is no portfolio: None."""
    asked, time = case["input"], milliseconds("2026-07-20")
    if case["type"] == "inverse_future":
        coin, mark = asked["currency"], 1.0
        spec = {"kind": "perpetual", "underlying": coin, "currency": coin, "form": "inverse", "mark": mark}
        held = {"instrument": f"{coin}-PERPETUAL", "size": asked["position_coin"]}
        return "deribit-standard", portfolio(
            time, {coin: {"index": mark}}, instruments={held["instrument"]: spec}, positions=[held]
        )
    if case["type"] == "inverse_option":
        end, forward = time + 30 * DAY, asked["underlying_mark"]
        spec = option(
            "BTC", "BTC", end, asked["strike"], asked["option"], form="inverse", mark=asked["option_mark_coin"]
        )
        return "deribit-standard", portfolio(
            time,
            {"BTC": {"index": forward}},
            instruments={"BTC-0": spec},
            expiries=[{"underlying": "BTC", "time": end, "forward": forward}],
            positions=[{"instrument": "BTC-0", "size": asked["qty"]}],
        )
    return None


def span(case):
    """SPAN: figures risk_array and scan_risk. Where the source prints arrays, the instruments hold the arrays."""
    asked, time = case["input"], milliseconds("2026-07-20")
    if "arrays" in asked:
        # A price is needed to hold a position; the source prints none, and the arrays do not read it.
        instruments = {
            name: {"kind": "perpetual", "underlying": "SP", "currency": "USD", "mark": 400.0, "array": array}
            for name, array in asked["arrays"].items()
        }
        positions = [{"instrument": held["array"], "size": held["qty"]} for held in asked["position"]]
        return "span", portfolio(time, {"SP": {"index": 400.0}}, instruments=instruments, positions=positions)
    price, size = asked["future_price"], asked["multiplier"]
    instruments, positions, ends = {}, [], set()
    for number, held in enumerate(asked["positions"]):
        name = f"F-{number}"
        if held["type"] == "future":
            # The source gives futures no expiry; SPAN asks for none.
            instruments[name] = perpetual("F", "USD", price, contract_size=size)
        else:
            end = time + round(held["T"] * YEAR)
            instruments[name] = option(
                "F", "USD", end, held["strike"], held["type"], volatility=held["iv"], contract_size=size
            )
            ends.add(end)
        positions.append({"instrument": name, "size": held["qty"]})
    product = {
        "price_scan_range": asked["price_scan_range"],
        "volatility_scan_range": asked["vol_scan_range_relative"],
        "extreme_multiple": asked["extreme_multiple"],
        "cover_fraction": asked["cover_fraction"],
    }
    return "span", portfolio(
        time,
        {"F": {"index": price}},
        instruments=instruments,
        expiries=[{"underlying": "F", "time": end, "forward": price} for end in sorted(ends)],
        positions=positions,
        parameters={"products": {"F": product}, "lookahead_days": asked["lookahead_days"]},
    )


CONVERSIONS = {
    "portfolio_margin.derive_pmrm_v1": derive_1,
    "portfolio_margin.derive_pmrm_2": derive_2,
    "portfolio_margin.paradex": paradex,
    "portfolio_margin.deribit_pme": deribit_portfolio,
    "margin.deribit_standard": deribit_standard,
    "margin.span16": span,
}


def convert(vectors):
    """(case id, model, portfolio) of every case that is one; `vectors` is what a file of them decodes to."""
    conversion = CONVERSIONS[vectors["kind"]]
    made = ((case["id"], conversion(case)) for case in vectors["cases"])
    return [(name, *pair) for name, pair in made if pair is not None]


def main():
    """Write them."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, model, document in convert(json.loads(source.read_text())):
        path = folder / f"{name}.json"
        path.write_text(json.dumps(document, indent=1) + "\n")
        print(f"seawall margin {path} --model {model}")


if __name__ == "__main__":
    main()
