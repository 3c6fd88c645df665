"""The house rules, run as a test: layers, banned imports, lengths, names, nothing of one machine in any file."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "seawall"
FILE_LINES, FUNCTION_LINES = 800, 70
PURE = ("vocabulary", "engine")
BANNED = {"time", "random", "uuid", "os", "asyncio", "io", "socket", "subprocess", "pathlib", "shutil", "tempfile"}
BANNED |= {"threading", "multiprocessing", "datetime", "secrets", "sys", "logging", "structlog"}
WAIVERS = {SOURCE / "engine" / "kernels" / "__init__.py": {"pathlib", "tempfile"}}
"""The cache of compiled kernels has to be put somewhere; what is compiled does no I/O."""


MADE = {".git", ".venv", "build", "dist", "demo-out", "__pycache__"}
"""Folders that hold nothing of ours; a fresh machine may have no git to ask."""


def files(*suffixes):
    found = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in MADE and not name.endswith(("_cache", ".egg-info"))]
        inner[:] = [name for name in inner if name != ".hypothesis"]
        found += [Path(folder, name) for name in names]
    return [path for path in found if not suffixes or path.suffix in suffixes]


PYTHON = files(".py")
CODE = [path for path in PYTHON if path.is_relative_to(ROOT / "src") or path.is_relative_to(ROOT / "tests")]


def tree(path):
    return ast.parse(path.read_text(), str(path))


def places(found):
    return "\n".join(found)


def test_layers():
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_import_no_clock_no_chance_no_input_or_output(room):
    found = []
    for path in (SOURCE / room).rglob("*.py"):
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names} & BANNED
            if isinstance(node, ast.Name) and node.id in ("open", "print", "input"):
                roots.add(node.id)
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(("np.random", "numpy.random")):
                roots.add("numpy.random")
            found += [f"{path}:{node.lineno}: {name}" for name in roots - WAIVERS.get(path, set())]
    assert not found, places(found)


def test_the_reference_engine_has_no_float():
    found = []
    engine = SOURCE / "engine"
    for path in [engine / f"{name}.py" for name in ("reference", "formulas", "catalogue")] + [
        *engine.glob("rules/*.py")
    ]:
        for node in ast.walk(tree(path)):
            number = isinstance(node, ast.Constant) and isinstance(node.value, float)
            division = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
            if number or division or (isinstance(node, ast.Name) and node.id == "float"):
                found.append(f"{path}:{node.lineno}")
    assert not found, places(found)


def test_files_and_functions_are_short():
    found = []
    for path in CODE:
        lines = len(path.read_text().splitlines())
        if lines > FILE_LINES:
            found.append(f"{path}: {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION_LINES:
                    found.append(f"{path}:{node.lineno}: {node.name}, {length} lines")
    assert not found, places(found)


def test_names_say_what_things_are():
    vague = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common|stuff)(_|$)|(Manager|Helper|Util|Utils)$")
    found = [str(path) for path in CODE for part in path.relative_to(ROOT).parts if vague.search(Path(part).stem)]
    for path in CODE:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and vague.search(node.name):
                found.append(f"{path}:{node.lineno}: {node.name}")
    assert not found, places(found)


def test_no_error_is_hidden_and_nothing_is_a_stub():
    found = []
    for path in CODE:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                wide = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
                silent = all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
                raises = any(isinstance(step, ast.Raise) for inner in node.body for step in ast.walk(inner))
                if silent or (wide and not raises and path.is_relative_to(SOURCE)):
                    found.append(f"{path}:{node.lineno}: hides an error")
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
    found += [f"{path}: {mark.group()}" for path in CODE for mark in marks.finditer(path.read_text())]
    assert not found, places(found)


def test_every_skip_has_its_reason():
    found = []
    for path in CODE:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name.endswith((".skip", ".skipif", ".xfail")):
                    said = [*node.args, *(word.value for word in node.keywords if word.arg in ("reason", "msg"))]
                    if not any(isinstance(value, ast.JoinedStr | ast.Constant) and value for value in said):
                        found.append(f"{path}:{node.lineno}")
    assert not found, places(found)


def test_no_two_test_files_have_one_name():
    """The folders of tests are no packages: of two files of one name pytest collects neither whole."""
    names = Counter(path.name for path in PYTHON if path.is_relative_to(ROOT / "tests") and path.stem != "conftest")
    assert not [name for name, count in names.items() if count > 1]


def test_no_file_knows_one_machine():
    hosts = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
    hosts += [".".join(parts) for parts in (("deb", "debian", "org"), ("crates", "io"), ("proxy", "golang", "org"))]
    words = [re.escape(host) for host in hosts] + [rf"/{top}/[a-z]" for top in ("work", "root", "home", "Users")]
    pattern = re.compile("|".join(words))
    found = []
    for path in files():
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {hit.group()}" for hit in pattern.finditer(text)]
    assert not found, places(found)
