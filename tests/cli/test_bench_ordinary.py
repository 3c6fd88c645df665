"""The ordinary week of `seawall bench desk`: every bot trades, nothing is refused, and a refusal would be counted."""

from seawall.cli.bench_ordinary import HOUR, Hedger, Maker, Week
from seawall.vocabulary.records import Kind, Limit

STEPS = 30 * HOUR


def test_a_day_of_every_bot_is_not_refused():
    week = Week(7, STEPS).run()
    assert not week.refused and not week.wanted
    assert week.asked["ORDER"] > 500 and week.asked["EDIT"] > 2_000 and week.executions > 500
    again = Week(7, STEPS).run()
    assert (again.asked, again.executions, again.index) == (week.asked, week.executions, week.index)


def test_a_refusal_is_counted(monkeypatch):
    opened = Week._open

    def tighter(week, bots):
        opened(week, bots)
        maker, hedger = (next(bot for bot in bots if isinstance(bot, kind)) for kind in (Maker, Hedger))
        week._tell(Kind.LIMIT, state=Limit.OPEN_ORDERS, account=maker.account, instrument=-1, amount=7)
        week._tell(Kind.LIMIT, state=Limit.ORDER_NOTIONAL, account=hedger.account, instrument=-1, amount=10**6)

    monkeypatch.setattr(Week, "_open", tighter)
    week = Week(7, 5 * HOUR).run()
    assert {name.partition(" ")[0] for name in week.refused} == {"maker", "hedger"}
    assert week.refused["maker ORDER OPEN_ORDERS"] > 0 and week.refused["hedger ORDER ORDER_NOTIONAL"] > 0
