"""Published liquidation and deleveraging rules against their golden vectors, their properties and bad inputs."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seawall.risk import liquidation as rules
from seawall.risk.liquidation import AdlPosition, MarginedPosition, RestingOrder
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "liquidation_rules.json"


def dydx(given_):
    return [MarginedPosition(**item) for item in given_["positions"]], given_["quote_balance"], given_["close_index"]


def fillable(given_):
    price = rules.dydx_fillable_price(
        *dydx(given_),
        bankruptcy_adjustment=given_["bankruptcy_adjustment"],
        spread_to_mmr=given_["spread_to_mmr"],
    )
    return {"fillable_price": price}


def bankruptcy(given_):
    return {"bankruptcy_quote": rules.dydx_bankruptcy_quote(*dydx(given_), given_["delta_size"])}


def partial(given_):
    value, margin, fee = given_["account_value"], given_["mmr"], given_["fee_rate_implied"]
    at_share = rules.paradex_after_share(value, margin, given_["share"], fee)
    chosen = rules.paradex_partial_liquidation(
        value, margin, fee=fee, step=given_["step"], target=given_["target_margin_ratio"]
    )
    return {
        "new_mmr": at_share.margin,
        "penalty": at_share.penalty,
        "new_account_value": at_share.account_value,
        "new_margin_ratio": round(float(at_share.margin_ratio), 3),
        "chosen_share": chosen.share,
    }


def social(given_):
    loss = rules.paradex_socialized_loss(
        given_["insurance_fund"],
        given_["user_balances"],
        given_["account_settlement_balances"],
        given_["withdrawal"],
    )
    return {
        "exchange_bankruptcy_amount": loss.bankruptcy,
        "socialized_loss_factor": loss.factor,
        "to_fund": loss.to_fund,
        "to_user": loss.to_user,
    }


def orders(given_):
    resting = [RestingOrder(**order) for order in given_["orders"]]
    cancelled = rules.paradex_cancelled_orders(given_["position"], resting)
    return {"cancelled": cancelled, "kept": [order.id for order in resting if order.id not in cancelled]}


def inverse(given_):
    raw = rules.inverse_bankruptcy_price(given_["entry"], given_["leverage"], given_["side"])
    return {"raw": round(raw, 6), "rounded": rules.to_tick(raw, given_["tick"])}


def adl(given_):
    side, size, entry, mark = given_["side"], given_["qty"], given_["entry"], given_["mark"]
    equity = rules.bankruptcy_equity(side, size, mark, given_["bankruptcy"])
    position = AdlPosition(side, size, entry, mark, equity)
    return {
        "pnl_pct": position.profit_share,
        "effective_leverage": position.leverage,
        "rank": rules.profit_by_leverage(position),
    }


def hyperliquid(given_):
    position = AdlPosition(**given_)
    return {
        "documented_index": rules.documented_index(position),
        "profit_ratio_times_leverage": rules.profit_ratio_by_leverage(position),
    }


def liquidation_price(given_):
    return {"liq_price": rules.hyperliquid_liquidation_price(**given_)}


RULES = {
    "dydx_v4.fillable_price": fillable,
    "dydx_v4.bankruptcy_price": bankruptcy,
    "paradex.partial_liquidation": partial,
    "paradex.socialized_loss": social,
    "paradex.order_deleveraging": orders,
    "inverse.bankruptcy_price": inverse,
    "adl.rank_pnl_times_leverage": adl,
    "hyperliquid.adl_rank": hyperliquid,
    "hyperliquid.liquidation_price_isolated": liquidation_price,
}
EXACT = {"fillable_price", "bankruptcy_quote", "chosen_share", "socialized_loss_factor", "rounded", "cancelled", "kept"}


def test_every_published_liquidation_vector():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = json.loads(VECTORS.read_text())["cases"]
    assert {case["rule"] for case in cases} <= set(RULES)
    for case in cases:
        found = RULES[case["rule"]](case["input"])
        assert set(found) == set(case["expected"]), case["id"]
        for field, expected in case["expected"].items():
            if field in EXACT:
                wanted = expected if isinstance(expected, list) else float(expected)
                assert (found[field] if isinstance(expected, list) else float(found[field])) == wanted, case["id"]
            else:
                assert float(found[field]) == pytest.approx(expected, rel=1e-11), (case["id"], field)


def test_dydx_published_account():
    """A long of 0.1 BTC at 50,000 bought with 4,501: its net collateral is 499 of 500 maintenance margin."""
    long = [MarginedPosition(0.1, 50_000, 0.1)]
    assert rules.dydx_fillable_price(long, -4501, 0) == 49_999
    assert rules.dydx_fillable_price(long, -4501, 0, bankruptcy_adjustment=2) == 49_998
    assert rules.dydx_bankruptcy_quote(long, -4501, 0, -0.1) == 4501


def test_dydx_rounds_up_once():
    long = [MarginedPosition(3, 1, 0.1)]
    third = rules.dydx_bankruptcy_quote(long, Fraction(-1), 0, Fraction(-1))
    assert third == Fraction(333_334, 1_000_000)  # exactly a third before rounding
    short = [MarginedPosition(-3, 1, 0.1)]
    assert rules.dydx_bankruptcy_quote(short, Fraction(4), 0, Fraction(1)) == Fraction(-1_333_333, 1_000_000)


sizes = st.integers(1, 10**6).map(lambda n: Fraction(n, 1000))
signs = st.sampled_from((-1, 1))


@given(signs, sizes, st.integers(1, 10**6), st.integers(1, 50), st.integers(-(10**7), 10**7))
def test_dydx_prices_stand_between_oracle_and_spread(sign, size, oracle, percent, balance):
    positions = [MarginedPosition(sign * size, oracle, Fraction(percent, 100))]
    price = rules.dydx_fillable_price(positions, balance, 0)
    worst = oracle * (1 - sign * Fraction(percent, 100) / 10)
    assert min(oracle, worst) <= price <= max(oracle, worst)
    quote = rules.dydx_bankruptcy_quote(positions, balance, 0, -sign * size)
    assert 0 <= quote + balance < rules.QUOTE_STEP  # closing all leaves the account at zero, or the rounding above


@given(sizes, sizes, st.fractions(0, 1))
def test_closing_in_two_parts_costs_no_more_than_two_roundings(size, other, part):
    assume(0 < part < 1)
    book = [MarginedPosition(size, 100, Fraction(1, 20)), MarginedPosition(-other, 7, Fraction(1, 10))]
    whole = rules.dydx_bankruptcy_quote(book, -3, 0, -size)
    first = rules.dydx_bankruptcy_quote(book, -3, 0, -size * part)
    second = rules.dydx_bankruptcy_quote(book, -3, 0, -size * (1 - part))
    assert 0 <= first + second - whole < 2 * rules.QUOTE_STEP


def test_paradex_fee_of_the_text_takes_more_than_the_fee_of_the_table():
    assert rules.paradex_partial_liquidation(80, 88.8).share == Fraction(2, 5)
    assert rules.paradex_partial_liquidation(80, 88.8, fee=0.7).share == Fraction(3, 5)
    assert rules.paradex_partial_liquidation(88.8, 88.8).share == 0
    assert rules.paradex_partial_liquidation(-1, 88.8).share == 1
    assert rules.paradex_partial_liquidation(1, 88.8).margin_ratio is None


@given(st.fractions(1, 10**6), st.fractions(0, 2), st.fractions(0, 1))
def test_more_equity_never_gives_a_larger_liquidation(margin, ratio, more):
    poor = rules.paradex_partial_liquidation(margin * ratio, margin)
    rich = rules.paradex_partial_liquidation(margin * ratio + more * margin, margin)
    assert rich.share <= poor.share


def test_socialized_loss_by_the_example_and_by_the_formula():
    published = (1000, [1000, 1000, 1000], [-2000], 500)
    assert rules.paradex_socialized_loss(*published).factor == Fraction(1, 4)
    assert rules.paradex_socialized_loss(*published, rule="formula").factor == Fraction(1, 5)
    covered = rules.paradex_socialized_loss(3000, [1000], [-2000], 500)
    assert (covered.bankruptcy, covered.to_user) == (0, 500)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1), st.integers(0, 10**8), st.integers(0, 10**6))
def test_a_socialized_withdrawal_is_parted_whole(fund, users, loss, amount):
    assume(fund + sum(users) > 0)
    for rule in ("table", "formula"):
        parted = rules.paradex_socialized_loss(fund, users, [-loss], amount, rule=rule)
        assert parted.to_fund + parted.to_user == amount and parted.to_fund >= 0 and parted.to_user >= 0


def test_deleveraging_cancels_what_does_not_reduce_then_the_most_passive():
    short = [
        RestingOrder("far", "buy", 2, 90),
        RestingOrder("near", "buy", 3, 99),
        RestingOrder("sell", "sell", 1, 101),
    ]
    assert rules.paradex_cancelled_orders(-4, short) == ["sell", "far"]
    assert rules.paradex_cancelled_orders(-5, short) == ["sell"]
    assert rules.paradex_cancelled_orders(0, short) == ["far", "near", "sell"]


ranked = st.builds(
    AdlPosition,
    st.sampled_from(("long", "short")), st.floats(0.01, 100), st.floats(1, 1e5), st.floats(1, 1e5), st.floats(1, 1e6),
)  # fmt: skip


@given(ranked, st.floats(1.01, 2))
def test_winning_more_never_lowers_the_default_rank_and_the_documented_one_fails_shorts(position, factor):
    better = position.mark * factor if position.side == "long" else position.mark / factor
    won = (better - position.mark) * position.size * (1 if position.side == "long" else -1)
    # The gain is in the equity too; leverage may fall by that, so only the equity is held here.
    ahead = AdlPosition(position.side, position.size, position.entry, better, position.account_value)
    assert won > 0
    if position.side == "long":
        assert rules.profit_ratio_by_leverage(ahead) >= rules.profit_ratio_by_leverage(position)
    else:
        assert rules.documented_index(ahead) < rules.documented_index(position)


@given(st.lists(ranked, max_size=12), st.sampled_from(sorted(rules.ADL_RANKS)))
def test_deleveraging_order_names_each_once_highest_first(positions, name):
    rank = rules.ADL_RANKS[name]
    order = rules.deleveraging_order(positions, rank)
    assert sorted(order) == list(range(len(positions)))
    ranks = [rank(positions[at]) for at in order]
    assert ranks == sorted(ranks, reverse=True)
    assert next(iter(rules.ADL_RANKS)) == "profit_ratio_by_leverage"


@given(st.sampled_from(("long", "short")), st.floats(1, 1e5), st.floats(0.01, 100), st.floats(2, 100), st.floats(0, 1))
def test_equity_is_the_maintenance_margin_at_the_liquidation_price(side, price, size, leverage, share):
    margin = price * size * share
    at = rules.hyperliquid_liquidation_price(price, size, leverage, margin, side)
    sign = 1 if side == "long" else -1
    equity = margin + sign * (at - price) * size
    assert at == 0 or equity == pytest.approx(at * size / leverage, abs=1e-9 * price * size)


def test_an_inverse_position_is_worth_its_margin_at_its_bankruptcy_price():
    for sign, side in ((1, "long"), (-1, "short")):
        at = rules.inverse_bankruptcy_price(100.0, 4.0, side)
        assert sign * (1 / 100.0 - 1 / at) == pytest.approx(-1 / (4 * 100.0))
    assert rules.to_tick(7735.372549, 0.5) == 7735.5
    assert (rules.to_tick(1.05, 0.1), rules.to_tick(1.04, 0.1)) == (1.1, 1.0)


LONG = [MarginedPosition(0.1, 50_000, 0.1)]
SOUND = AdlPosition("long", 1.0, 100.0, 110.0, 50.0)


@pytest.mark.parametrize(("field", "call"), [
    ("quote_balance", lambda: rules.dydx_fillable_price(LONG, float("nan"), 0)),
    ("quote_balance", lambda: rules.dydx_fillable_price(LONG, True, 0)),
    ("quote_balance", lambda: rules.dydx_fillable_price(LONG, "0", 0)),
    ("positions[0].oracle_price", lambda: rules.dydx_fillable_price([MarginedPosition(1, -1, 0.1)], 0, 0)),
    ("positions[0].oracle_price", lambda: rules.dydx_fillable_price([MarginedPosition(1, 1e19, 0.1)], 0, 0)),
    ("positions[0].mmf", lambda: rules.dydx_fillable_price([MarginedPosition(1, 1, 2)], 0, 0)),
    ("positions[0].mmf", lambda: rules.dydx_fillable_price([MarginedPosition(1, 1, 0)], 0, 0)),
    ("positions[0].size", lambda: rules.dydx_fillable_price([MarginedPosition(0, 1, 0.1)], 0, 0)),
    ("close", lambda: rules.dydx_fillable_price(LONG, 0, 1)),
    ("close", lambda: rules.dydx_fillable_price(LONG, 0, -1)),
    ("bankruptcy_adjustment", lambda: rules.dydx_fillable_price(LONG, 0, 0, bankruptcy_adjustment=0.5)),
    ("change", lambda: rules.dydx_bankruptcy_quote(LONG, 0, 0, 0.1)),
    ("change", lambda: rules.dydx_bankruptcy_quote(LONG, 0, 0, -0.2)),
    ("change", lambda: rules.dydx_bankruptcy_quote(LONG, 0, 0, 0)),
    ("margin", lambda: rules.paradex_partial_liquidation(80, -1)),
    ("fee", lambda: rules.paradex_partial_liquidation(80, 90, fee=1.5)),
    ("step", lambda: rules.paradex_partial_liquidation(80, 90, step=0)),
    ("account_value", lambda: rules.paradex_partial_liquidation(float("inf"), 90)),
    ("user_balances[1]", lambda: rules.paradex_socialized_loss(0, [1, -1], [], 1)),
    ("user_balances", lambda: rules.paradex_socialized_loss(0, [0], [-1], 1)),
    ("rule", lambda: rules.paradex_socialized_loss(0, [1], [], 1, rule="mean")),
    ("orders[0].side", lambda: rules.paradex_cancelled_orders(1, [RestingOrder("a", "hold", 1, 1)])),
    ("orders[1].id", lambda: rules.paradex_cancelled_orders(1, [RestingOrder("a", "buy", 1, 1)] * 2)),
    ("orders[0].size", lambda: rules.paradex_cancelled_orders(1, [RestingOrder("a", "buy", -1, 1)])),
    ("side", lambda: rules.inverse_bankruptcy_price(1, 2, "flat")),
    ("leverage", lambda: rules.inverse_bankruptcy_price(1, 1, "short")),
    ("entry", lambda: rules.inverse_bankruptcy_price(float("nan"), 2, "long")),
    ("tick", lambda: rules.to_tick(1, 0)),
    ("isolated_margin", lambda: rules.hyperliquid_liquidation_price(1, 1, 20, float("nan"), "long")),
    ("maintenance_leverage", lambda: rules.hyperliquid_liquidation_price(1, 1, 1, 1, "long")),
    ("account_value", lambda: rules.documented_index(AdlPosition("long", 1, 1, 1, 0))),
    ("mark", lambda: rules.profit_by_leverage(AdlPosition("long", 1, 1, float("nan"), 1))),
    ("side", lambda: rules.profit_ratio_by_leverage(AdlPosition("both", 1, 1, 1, 1))),
    ("bankruptcy", lambda: rules.bankruptcy_equity("long", 1, 100, 100)),
])  # fmt: skip
def test_bad_numbers_are_refused(field, call):
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field
