"""What each published model gives the engine: integer risk arrays and convex charges, nowhere below the published rule.

The engine asks max over scenarios of -V, and adds charges (`seawall.vocabulary.publication`). Maintenance is a fraction
of the initial requirement in all these rules, so its scenarios are published once more at that fraction, first.

paradex            weights are in u. With N the net and G the gross delta, max(S, a|N| + bG) becomes bG + max(S', a|N|):
                   bG a charge on gross delta, a|N| two scenarios of either sign, and in S' each array shrunk towards
                   zero by its share of bG. Never below, never twice as much, and a position by itself is exact. Needs
                   unhedged >= hedged / 2.
deribit-portfolio  matrix and extended table are scenarios, without the dampener (it is a constant off a loss, which no
                   scenario has) and without offsets between pairs (blocks add). The roll shock, sum over expiries of
                   |net delta| * rate, becomes a charge on each position, |delta| * rate: what nets within an expiry is
                   charged twice. 64 scenarios are fewer than 1 + 2 * 34: five inner ones serve both rows whole. The
                   venue rounds twice to 9 decimals, so its number may be above by 1e-9 coin.
derive-pmrm, -2    losses are convex in the book, but for the skew scenarios, and discounts net by expiry, which the
                   engine does not. Each option's scenarios count what is owned at the discount and what is owed at the
                   markup; a charge on each side covers the difference, the skew and the basis contingency, and the
                   scenarios shrink towards zero by what the charge covers: a position by itself is exact. Confidences
                   are taken as whole; naked shorts are not set against longs of their strike.
span               scan risk is linear in each scenario: exact.
deribit-standard   `seawall.risk.standard`.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np

from seawall.risk.envelope import UNIT
from seawall.risk.margin import deribit, derive, paradex, span
from seawall.risk.margin.derive_parameters import SKEWS, DeriveParameters
from seawall.risk.margin.enforced import BlockLots, ChargePool, block_lots, publication_of, risk
from seawall.risk.margin.valuation import Float64Array, refuse
from seawall.risk.market import MarketView
from seawall.vocabulary import bounds
from seawall.vocabulary.bounds import ceil_div
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import decimal
from seawall.vocabulary.publication import INITIAL, MAINTENANCE, NO_CHARGE, BlockRisk, InstrumentRisk, Publication

NONE: Final = (NO_CHARGE, NO_CHARGE)


def publish_paradex(market: MarketView, model: paradex.Paradex) -> Publication:
    """Of every block of the market. Raises InputError for a bad view, or parameters that make no convex rule."""
    market.check()
    pool, blocks, instruments = ChargePool(), [], []
    for block in sorted(market.blocks):
        here = block_lots(market, block)
        known = model.known(here.portfolio).parameters
        asset = paradex.asset_of(known, here.underlying)
        half, gross = known.maintenance_factor, asset.hedged / 2
        net = asset.unhedged - gross
        if net < 0:
            raise InputError("unhedged", asset.unhedged, "must be at least half of hedged: else the rule is not convex")
        weights = np.array([row[2] for row in asset.scenarios])
        spot = market.blocks[block].index_usd
        for at, line in enumerate(paradex.position_lines(here.portfolio, known, asset, here.portfolio.positions)):
            pnl = line.floored if known.volatility_floor == "scaled" else line.pnl
            delta = line.delta * spot
            weighted, covered = weights * pnl, gross * abs(delta)
            shrunk = weighted - np.clip(weighted, -covered, covered)
            changes = np.append(shrunk, [-net * delta, net * delta])
            both = np.append(half * changes, changes)
            instruments.append(risk(here, at, both.tolist(), delta=line.delta, dollars=True))
        charges = tuple(pool.index((_rate(decimal(gross) * factor), 0)) for factor in (Fraction(1), decimal(half)))
        count = len(asset.scenarios) + 2
        blocks.append(BlockRisk(block, 1 + 2 * count, 1 + count, (NONE, (charges[0], charges[1]), NONE, NONE)))
    return publication_of(market, blocks, instruments, pool)


def publish_span(market: MarketView, model: span.Span) -> Publication:
    """Of every block. Raises InputError for a bad view, or where scan ranges are missing."""
    market.check()
    blocks, instruments = [], []
    for block in sorted(market.blocks):
        here = block_lots(market, block)
        known = model.known(here.portfolio).parameters
        ratio = known.initial_ratio
        for at, array in enumerate(span.risk_arrays(here.portfolio, known, here.portfolio.positions)):
            both = array if ratio == 1 else np.append(array, ratio * array)
            instruments.append(risk(here, at, both.tolist(), dollars=True))
        count = span.SCENARIOS
        blocks.append(BlockRisk(block, 1 + (count if ratio == 1 else 2 * count), 1 + count))
    return publication_of(market, blocks, instruments, ChargePool())


def publish_deribit(market: MarketView, model: deribit.DeribitPortfolio) -> Publication:
    """Of every block. Raises InputError for a bad view or a pair or currency without parameters."""
    market.check()
    pool, blocks, instruments = ChargePool(), [], []
    for block in sorted(market.blocks):
        here = block_lots(market, block)
        portfolio = here.portfolio
        known = model.known(portfolio).parameters
        settled, factor = deribit.settlement_of(known, here.currency), known.mm_factor
        whole = _whole_in_both_rows(known)
        for at, line in enumerate(deribit.position_lines(portfolio, known, portfolio.positions)):
            table = _moving(known, line)
            scale = np.full(len(table), factor)
            scale[whole] = 1.0
            changes = np.append(scale * table, np.delete(table, whole))
            made = risk(here, at, changes.tolist(), delta=line.delta)
            rate = abs(made.delta) * decimal(deribit.roll_rate(portfolio, settled, line.expiry)) / max(1, made.weight)
            rows = tuple(_symmetric(pool, rate * share) for share in (Fraction(1), decimal(factor)))
            instruments.append(replace(made, charges=(rows[0], rows[1])))
        shock = _delta_shock(here, known, pool)
        count = len(known.extended_moves) + 3 * (2 * known.buckets_count + 1) - 1
        blocks.append(BlockRisk(block, 1 + 2 * count - len(whole), 1 + count, (shock, NONE, NONE, NONE)))
    return publication_of(market, blocks, instruments, pool)


def publish_derive(market: MarketView, model: derive.DerivePmrm2) -> Publication:
    """Of every block. Raises InputError for a bad view or for parameters outside the proof (see `_option_sides`)."""
    market.check()
    pool, blocks, instruments = ChargePool(), [], []
    for block in sorted(market.blocks):
        here = block_lots(market, block)
        portfolio = here.portfolio
        known = model.known(portfolio).parameters
        refuse(portfolio, model.name, ("perpetual", "option"), ("linear",))
        regular = _regular(known)
        factors = derive.factors(portfolio, known)
        rates = model.contingencies(known, factors[INITIAL])
        moves = np.array([item.dampening * (item.spot - 1) for item in known.scenarios])[regular]
        places = {item.instrument: at for at, item in enumerate(portfolio.positions)}
        for item in portfolio.positions:
            spec = portfolio.instrument(item)
            if spec.kind == "perpetual":
                change = spec.contract_size * portfolio.mark_of(item.instrument) * moves
                risks = _sides(here, places[item.instrument], change, factors)
                asked = [(rate, rate) for rate in rates["perpetual"]]
                instruments.append(_charged(risks, asked, (0.0, 0.0), here, factors, pool))
        for expiry, positions in derive.by_expiry(portfolio):
            table = model.table(portfolio, known, expiry, positions)
            for column, item in enumerate(positions):
                change, covered = _option_sides(known, table, column, regular)
                risks = _sides(here, places[item.instrument], change, factors)
                asked = [(0.0, rate) for rate in rates["option"]]
                instruments.append(_charged(risks, asked, covered, here, factors, pool))
        blocks.append(BlockRisk(block, 1 + 2 * len(moves), 1 + len(moves)))
    return publication_of(market, blocks, instruments, pool)


def _regular(known: DeriveParameters) -> list[int]:
    """The scenarios that are no skew. Raises InputError for a skew that moves spot: perpetuals would move in it."""
    for at, item in enumerate(known.scenarios):
        if item.volatility in SKEWS and item.spot != 1:
            raise InputError(f"scenarios[{at}].spot", item.spot, "must be 1 where volatility is skewed")
    return [at for at, item in enumerate(known.scenarios) if item.volatility not in SKEWS]


def _option_sides(
    known: DeriveParameters, table: derive.OptionTable, column: int, regular: Sequence[int]
) -> tuple[Float64Array, tuple[float, float]]:
    """(change of one lot by regular scenario, what a charge must cover of a lot owned and of a lot owed).

    Owned, a lot changes by `long` in a scenario, owed by -`short`; short >= long, the markup being above the discount.
    With charges c, d on the sides any change in [short - d, long + c] asks enough; the one nearest zero is taken. Both
    charges cover the skew scenarios and the basis contingency by themselves. Raises InputError if the discount exceeds
    the markup: then the rule is not convex.
    """
    discount, markup = table.discounts
    if discount > markup:
        raise InputError("factors.long_discount", discount, f"must not come to more than the markup, {markup}")
    mark, values = table.marks[column], table.values[: len(known.scenarios), column]
    dampening = np.array([item.dampening for item in known.scenarios])
    long, short = dampening * (discount * values - mark), dampening * (markup * values - mark)
    skewed = [at for at in range(len(values)) if at not in set(regular)]
    moves = table.basis_factor * table.moves[:, column]
    owned = max(0.0, *np.abs(long[skewed]), *(-moves))
    owed = max(0.0, *short[skewed], *(-long[skewed]), *moves)
    owed = max(owed, float(np.max(short[regular] - long[regular])) - owned)
    nearest = np.minimum(np.maximum(0.0, short[regular] - owed), long[regular] + owned)
    return np.asarray(nearest), (float(owned), float(owed))


def _sides(here: BlockLots, at: int, change: Float64Array, factors: tuple[float, float]) -> InstrumentRisk:
    both = np.append(factors[MAINTENANCE] * change, factors[INITIAL] * change)
    return risk(here, at, both.tolist())


def _charged(
    made: InstrumentRisk,
    asked: Sequence[tuple[float, float]],
    covered: tuple[float, float],
    here: BlockLots,
    factors: tuple[float, float],
    pool: ChargePool,
) -> InstrumentRisk:
    """With charges by row on a lot owned and a lot owed: what they cover at the row's factor, a fraction of value.

    What is `asked` of the underlying the rule asks in its stablecoin, which may be worth more than a dollar, or less.
    """
    rows, price = [], Fraction(here.portfolio.price_of(here.currency))
    for row in (INITIAL, MAINTENANCE):
        sides = [
            Fraction(cover) * here.atoms * decimal(factors[row]) / max(1, made.weight) + decimal(rate) * price
            for cover, rate in zip(covered, asked[row], strict=True)
        ]
        rows.append(pool.index((_rate(sides[0]), 0), (-_rate(sides[1]), 0)))
    return replace(made, charges=(rows[INITIAL], rows[MAINTENANCE]))


def _delta_shock(here: BlockLots, known: deribit.DeribitParameters, pool: ChargePool) -> tuple[int, int]:
    """The charge on net delta beyond its threshold, by row."""
    pair = known.pairs.get(here.underlying)
    if pair is None:
        return NONE
    # The threshold is in dollars, the exposure in value atoms of them at the dearer rate.
    threshold = decimal(pair.delta_total_liq_shock_threshold) * here.atoms
    threshold /= Fraction(here.portfolio.price_of(here.currency))
    found = []
    for share in (Fraction(1), decimal(known.mm_factor)):
        rate = decimal(pair.max_delta_shock) * share
        intercept = -int(rate * threshold)
        found.append(pool.index((_rate(rate), intercept), (-_rate(rate), intercept)))
    return found[0], found[1]


def _moving(known: deribit.DeribitParameters, line: deribit.Line) -> Float64Array:
    """The entries of both tables but the one where nothing moves, which every block has anyway."""
    factor = known.pairs[line.underlying].extended_table_factor
    return np.delete(np.append(line.standard, factor * line.extended), 3 * known.buckets_count + 1)


def _whole_in_both_rows(known: deribit.DeribitParameters) -> list[int]:
    """Entries not published twice: the innermost at unmoved volatility, as many as the bound of scenarios asks for."""
    middle = known.buckets_count
    inner = [(abs(step), 3 * (step + middle) + 1 - (step > 0)) for step in range(-middle, middle + 1) if step]
    count = len(known.extended_moves) + 3 * (2 * middle + 1) - 1
    spare = max(0, 1 + 2 * count - bounds.SCENARIOS_MAX)
    return [entry for _, entry in sorted(inner)[:spare]]


def _symmetric(pool: ChargePool, rate: Fraction) -> int:
    """Index of the charge of `rate` on either side, rounded up."""
    return pool.index((_rate(rate), 0), (-_rate(rate), 0))


def _rate(value: Fraction) -> int:
    """A fraction in units of 2^-14, rounded up."""
    return ceil_div(value.numerator * UNIT, value.denominator)
