"""A dev venue in a process of its own, as a user starts it; and the thinnest client, standard library alone."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])}
PATIENCE_S = 20
START = "from seawall.cli.main import main; main()"


class DevVenue:
    """`seawall serve --dev`; `ready` is the line it printed."""

    def __init__(self, data, *options, market="none"):
        command = [sys.executable, "-c", START, "serve", "--dev", "--data", str(data), "--port", "0"]
        command += ["--market", market, *map(str, options)]
        self.log = Path(data).with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT)
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-2000:]
        self.ready = json.loads(line)
        self.accounts = {account["name"]: account for account in self.ready["accounts"]}

    def get(self, name, account=None, **parameters):
        """The whole JSON-RPC answer to a GET, whatever its status."""
        return self.get_raw(f"{name}?{urllib.parse.urlencode(parameters)}", account)

    def get_raw(self, target, account=None):
        """The same for a path and query as they stand."""
        request = urllib.request.Request(f"{self.ready['http']}/api/v2/{target}")
        if account is not None:
            who = self.accounts[account]
            token = base64.b64encode(f"{who['key']}:{who['secret']}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def operate(self, what, person, **parameters):
        """The answer of the operations door."""
        token = next(row["token"] for row in self.ready["operators"] if row["name"] == person)
        request = urllib.request.Request(f"{self.ready['ops']}/{what}", json.dumps(parameters).encode())
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """An orderly end; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()


@contextlib.contextmanager
def dev_venue(data, *options, market="none"):
    """A dev venue that ends with the block."""
    venue = DevVenue(data, *options, market=market)
    try:
        yield venue
    finally:
        if venue.process.poll() is None:
            venue.stop()


@contextlib.contextmanager
def orderly(data, *options, market="none"):
    """The same, and it must end in order, without a traceback in its log."""
    with dev_venue(data, *options, market=market) as venue:
        yield venue
        assert venue.stop() == 0
        assert "Traceback" not in venue.log.read_text()
