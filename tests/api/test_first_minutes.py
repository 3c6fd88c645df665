"""The README's five minutes: its commands are run as they stand there, and print what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def section():
    text = (ROOT / "README.md").read_text()
    return text.partition("## Five minutes")[2].partition("\n## ")[0]


def commands():
    """The lines of the section's first block of commands."""
    return [line.strip() for line in re.findall(r"(?:^    .*\n)+", section(), re.MULTILINE)[0].splitlines()]


def test_the_first_five_minutes_of_a_new_user(tmp_path):
    serve, first = commands()[-2:]
    assert serve.startswith("seawall serve --dev") and first.startswith("python examples/")
    for name, runs in (("seawall", '-c "from seawall.cli.main import main; main()"'), ("python", "")):
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {sys.executable} {runs} "$@"\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    source = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    # A port of its own: the one in the README may be taken here.
    script = f"{serve.replace('--dev', '--dev --port 0')}\n{first}\nstatus=$?\nkill $!\nwait\nexit $status\n"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    promised = re.findall(r"(?:^    .*\n)+", section(), re.MULTILINE)[1].splitlines()
    assert len(said) == len(promised)
    for line, example in zip(said, promised, strict=True):
        # Prices move and ids count, words and amounts do not.
        assert re.sub(r"[\d,.-]+", "#", line) == re.sub(r"[\d,.-]+", "#", example.strip())
