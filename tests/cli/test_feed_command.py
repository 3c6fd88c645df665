"""`seawall feed` against a door that fails in every way one does: what it goes on after, and what ends it."""

import http.server
import json
import threading

import pytest

from seawall.cli.calling import DoorRefused, Where
from seawall.cli.feed import _feed
from seawall.vocabulary.errors import InputError

TAKEN = {"dry_run": False, "taken": True, "published": ["BTC"], "doubted": []}


@pytest.fixture
def door(monkeypatch):
    """A door that answers with the statuses in `says`, then takes everything; `came` are the bodies."""
    monkeypatch.setenv("SEAWALL_OPS_TOKEN", "t")

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            server.came.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            status = server.says.pop(0) if server.says else 200
            if not status:  # it hangs up
                return
            error = {"error": "other", "message": "no"}
            if status == 400:
                error = {"error": "input", "message": "no", "field": "time", "value": 1, "rule": "must be later"}
            body = json.dumps(TAKEN if status == 200 else error).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    server.came, server.says = [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fed(door, folder, *lines):
    file = folder / "reports"
    file.write_bytes(b"\n".join(lines))
    return _feed(Where(f"http://127.0.0.1:{door.server_port}"), file, 0.0, False, False)


REPORT = b'{"time": 1, "indexes": {"BTC": 60000.0}}'


def test_it_goes_on_after_whatever_may_be_better_next_time(door, tmp_path, capsys):
    door.says = [400, 409, 429, 503, 0, 500]
    found = fed(door, tmp_path, *[REPORT] * 7)
    assert found.ok and found.document["sent"] == 7 == len(door.came)
    assert (found.document["taken"], found.document["refused"]) == (1, 6)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 7 and all(": refused: " in line for line in said[:6]) and "published BTC" in said[6]


def test_it_goes_on_after_lines_that_are_no_reports(door, tmp_path, capsys):
    bad = [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"dry_run": true}']
    found = fed(door, tmp_path, *bad, b'{"path": "/kill", "self": 1, "time": 1}', REPORT)
    assert found.ok and (found.document["sent"], found.document["refused"]) == (2, len(bad))
    assert door.came[0] == {"path": "/kill", "self": 1, "time": 1, "dry_run": False}  # the door refuses it by name
    assert f"1: refused: {tmp_path}" in capsys.readouterr().err


def test_the_last_report_decides(door, tmp_path):
    door.says = [200, 409]
    assert not fed(door, tmp_path, REPORT, REPORT).ok
    with pytest.raises(InputError):
        fed(door, tmp_path, b"", b" ")


@pytest.mark.parametrize("status", [401, 403])
def test_no_right_ends_it(door, tmp_path, status):
    door.says = [status]
    with pytest.raises(DoorRefused) as refused:
        fed(door, tmp_path, REPORT, REPORT)
    assert refused.value.status == status and len(door.came) == 1


def test_nobody_there_does_not_end_it_and_a_door_that_is_no_tls_does(door, tmp_path, monkeypatch):
    port = door.server_port
    file = tmp_path / "reports"
    file.write_bytes(REPORT + b"\n" + REPORT)
    with pytest.raises(DoorRefused):
        _feed(Where(f"https://127.0.0.1:{port}"), file, 0.0, False, False)
    found = _feed(Where("http://127.0.0.1:1"), file, 0.0, False, False)
    assert not found.ok and found.document["refused"] == 2
