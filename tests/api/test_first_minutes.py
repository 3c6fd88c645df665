"""The README's five minutes: its commands are run as they stand there, and print what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from seawall.api.sockets import free_port

ROOT = Path(__file__).parents[2]


def section(title):
    text = (ROOT / "README.md").read_text()
    return text.partition(f"## {title}")[2].partition("\n## ")[0]


def blocks(title):
    """The section's blocks of commands and of what they print, line by line."""
    return [
        [line.strip() for line in block.splitlines()]
        for block in re.findall(r"(?:^    .*\n)+", section(title), re.MULTILINE)
    ]


def run(folder, script):
    """What a shell says to the commands of the README, where `seawall` and `python` are the ones tested."""
    for name, runs in (("seawall", '-c "from seawall.cli.main import main; main()"'), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {runs} "$@"\n')
        (folder / name).chmod(0o755)
    (folder / "examples").symlink_to(ROOT / "examples")
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    source = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.strip() for line in done.stdout.splitlines()]


def assert_promised(said, promised):
    """Prices move and ids count, words and amounts do not; what the README cuts short may go on."""
    assert len(said) == len(promised)
    for line, example in zip(said, promised, strict=True):
        line, example = (re.sub(r"[\d,.:+T-]+", "#", text) for text in (line, example))
        assert line.startswith(example[:-1]) if example.endswith("…") else line == example


def test_the_first_five_minutes_of_a_new_user(tmp_path):
    commands, promised = blocks("Five minutes: your own venue")[:2]
    serve, first = commands[-2:]
    assert serve.startswith("seawall serve --dev") and first.startswith("python examples/")
    # A port of its own: the one in the README may be taken here.
    script = f"{serve.replace('--dev', '--dev --port 0')}\n{first}\nstatus=$?\nkill $!\nwait\nexit $status\n"
    assert_promised(run(tmp_path, script), promised)


def test_the_first_five_minutes_of_a_desk(tmp_path):
    commands, promised = blocks("Five minutes: your desk")[:2]
    venue, keys, desk, order, report = commands
    port = free_port("127.0.0.1")
    script = [f"{venue}\nvenue=$!", keys, f"{desk.replace('--observe', '--observe --port 0')}\ndesk=$!", order, report]
    script += ["status=$?", "kill $desk", "kill $venue", "wait", "exit $status"]
    assert_promised(run(tmp_path, "\n".join(script).replace("8090", str(port))), promised)
