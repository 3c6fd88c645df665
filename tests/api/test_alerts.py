"""What is told once, counted, and told apart."""

from structlog.testing import capture_logs

from seawall.api.operations.alerts import Alerts


def test_an_alert_that_no_table_has_is_told_and_ends_nothing():
    alerts = Alerts()
    assert alerts.tell("whatever").severity == "critical"
    assert alerts.counts["whatever"] == 1


def test_the_same_alert_is_counted_and_does_not_wash_others_away():
    now = [0]
    alerts = Alerts(lambda: now[0])
    alerts.tell("killed", by="rita")
    for _ in range(5_000):
        now[0] += 1
        alerts.tell("failed_logins", address="10.0.0.1")
    assert [(one.kind, one.count) for one in alerts.ring] == [("killed", 1), ("failed_logins", 5_000)]
    now[0] += 60_000
    alerts.tell("failed_logins", address="10.0.0.2")
    assert len(alerts.ring) == 3 and alerts.counts["failed_logins"] == 5_001
    assert [one.kind for one in alerts.since(severity="critical")] == ["killed"]
    assert [one.facts["address"] for one in alerts.since(now[0])] == ["10.0.0.2"]


def test_alerts_of_two_subjects_are_told_apart():
    """A second account that was killed within the minute took the first one's place, and no line told of it."""
    alerts = Alerts(lambda: 5)
    with capture_logs() as logs:
        for account in ("alice", "bob", "alice"):
            alerts.tell("killed", scope="account", name=account, by="rita")
    assert [(one.facts["name"], one.count) for one in alerts.ring] == [("alice", 2), ("bob", 1)]
    assert [line["name"] for line in logs] == ["alice", "bob"] and alerts.counts["killed"] == 3
