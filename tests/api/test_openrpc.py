"""The description is what is served: every method it names answers, and what it calls required is."""

from seawall.api.methods.openrpc import document
from seawall.api.rpc import METHODS

TYPES = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


def test_the_document_served_is_the_table(dev):
    served = dev.get("rpc.discover")["result"]
    assert served == document()
    assert [row["name"] for row in served["methods"]] == sorted(METHODS)
    assert all(row["summary"] for row in served["methods"])


KINDS = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
    "null": type(None),
}  # fmt: skip


def fits(document, schema, value, where):
    """Raise AssertionError unless a value is what a schema says: of its type, with its fields and no others."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    right = [kind for kind in types if isinstance(value, KINDS[kind])]
    assert right and (not isinstance(value, bool) or "boolean" in types), (where, value, types)
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= value.keys(), (where, set(schema["required"]) - value.keys())
        for name, row in schema["properties"].items():
            if name in value:
                fits(document, row, value[name], f"{where}.{name}")
        if where.count(".") or "summaries" not in value:
            assert value.keys() <= schema["properties"].keys(), (where, value.keys() - schema["properties"].keys())
    for one in value if isinstance(value, list) and "items" in schema else ():
        fits(document, schema["items"], one, f"{where}[]")


def test_what_is_answered_is_what_the_document_says(dev):
    document = dev.get("rpc.discover")["result"]
    perpetual = {"instrument_name": "BTC-PERPETUAL"}
    listed = [row["instrument_name"] for row in dev.get("public/get_instruments")["result"]]
    call = next(name for name in listed if name.startswith("BTC-") and name.endswith("-C"))
    mark = dev.get("public/ticker", instrument_name=call)["result"]["mark_price"]
    at = round(mark / 0.0005 + 2) * 0.0005
    stop = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 30_000, "label": "s"}
    seen = []

    def ask(name, account=None, **params):
        answer = dev.get(name, account, **params)
        assert "result" in answer, (name, answer)
        row = next(row for row in document["methods"] if row["name"] == name)
        assert row["result"]["schema"], name
        fits(document, row["result"]["schema"], answer["result"], name.rpartition("/")[2])
        seen.append(name)
        return answer["result"]

    first = ask("private/sell", "alice", **perpetual, amount=100, price=60_000)["order"]["order_id"]
    ask("private/edit", "alice", order_id=first, amount=90)
    assert ask("private/buy", "bob", **perpetual, amount=20, price=60_000, client_order_id="c")["trades"]
    assert ask("private/sell", "bob", **perpetual, amount=10, price=29_000, **stop)["order"]["trigger"]
    ask("private/edit_by_label", "bob", **perpetual, label="s", amount=20)
    ask("private/sell", "alice", instrument_name=call, amount=1, price=at)
    assert ask("private/buy", "bob", instrument_name=call, amount=1, price=at)["trades"]
    ask("private/buy", "bob", **perpetual, amount=20, price=50_000, display_amount=10)
    for name in (*listed[:3], call):
        for method in ("ticker", "get_order_book", "get_book_summary_by_instrument", "get_instrument"):
            ask(f"public/{method}", instrument_name=name)
        ask("private/get_position", "bob", instrument_name=name)
    ask("public/get_order_book_by_instrument_id", instrument_id=1)
    ask("public/get_instruments")
    ask("public/get_book_summary_by_currency", currency="BTC")
    for who in ("alice", "bob"):
        assert len(ask("private/get_positions", who)) == 2
        for extended in ("false", "true"):
            ask("private/get_account_summary", who, currency="BTC", extended=extended)
            ask("private/get_account_summaries", who, extended=extended)
        assert ask("private/get_open_orders", who)
        ask("private/get_order_history_by_currency", who, currency="BTC", include_unfilled="true")
        ask("private/get_user_trades_by_order", who, order_id=first) if who == "alice" else None
        for by, asked in (("instrument", perpetual), ("currency", {"currency": "BTC"})):
            ask(f"private/get_open_orders_by_{by}", who, **asked)
            ask(f"private/get_order_history_by_{by}", who, **asked)
            for name in (f"private/get_user_trades_by_{by}", f"public/get_last_trades_by_{by}"):
                assert ask(name, who, **asked)["trades"]
                assert ask(f"{name}_and_time", who, start_timestamp=0, end_timestamp=2**50, **asked)["trades"]
    ask("private/get_open_orders_by_label", "bob", currency="BTC", label="s")
    ask("private/get_order_state_by_label", "bob", currency="BTC", label="s")
    ask("private/simulate_portfolio", "bob", currency="BTC")
    ask("private/get_order_state", "alice", order_id=first)
    ask("private/cancel", "alice", order_id=first)
    ask("private/sell", "carol", **perpetual, amount=10, price=60_000)
    ask("private/close_position", "bob", **perpetual, type="limit", price=61_000)
    described = {row["name"] for row in document["methods"] if row["result"]["schema"]}
    assert described == set(seen)


def test_every_method_it_names_is_there_and_asks_for_what_it_says(dev):
    for row in document()["methods"]:
        error = dev.get(row["name"], "alice").get("error", {"code": 0})
        assert error["code"] != -32601, row["name"]
        required = [part["name"] for part in row["params"] if part["required"]]
        if row.get("x-websocket-only"):
            assert error["code"] == 10030, row["name"]
        elif required and error["code"] == -32602:
            assert error["data"]["param"] in required, (row["name"], error)
        elif required:
            assert error["code"] in (10028, 10033), (row["name"], error)


def test_a_private_method_says_which_right_it_needs(dev):
    for row in document()["methods"]:
        answer = dev.get(row["name"])
        refused = answer.get("error", {}).get("code") == 13009
        assert refused == ("x-scope" in row), (row["name"], answer)
