"""The description is what is served: every method it names answers, and what it calls required is."""

from seawall.api.methods.openrpc import document
from seawall.api.rpc import METHODS

TYPES = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


def test_the_document_served_is_the_table(dev):
    served = dev.get("rpc.discover")["result"]
    assert served == document()
    assert [row["name"] for row in served["methods"]] == sorted(METHODS)
    assert all(row["summary"] for row in served["methods"])


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
