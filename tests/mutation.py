"""A sampled mutation run: breaks one thing at a time in a copy of the tree and sees whether the tests turn red.

    PYTHONPATH=src python tests/mutation.py engine|kernels|journal --count 100 --seed 1 [--jobs 2]

Operators: comparisons shifted or reversed, plus and minus exchanged, `and` and `or` exchanged, conditions negated,
integers changed by one, statements without a result left out. Annotations are left alone. Each mutant is
run against the room's tests, quickest first, until one fails; what survives is printed with its place.

What samples have left alive and no test can kill, as it changes no event, answer or byte:

- sides are 1 and -1, so `side > 0` is `side >= 0` and `side > -1` (`rules/margin.py`, `rules/controls.py`);
- any negative number stands for "none before it" (`fast_rare.py`, of a maker's protections);
- which bound a mark outside its band is told by, at that bound, where it cannot be (`catalogue.py`);
- forms and messages of rules 1, which know neither (`rules/orders.py`);
- how much room is made or taken at once, and what is read into the cache early (`kernels/fold.py`, `kernels/book.py`,
  `journal/writing.py`);
- the last of one axis for the first (`journal/checkpoint.py`);
- `2 * page` for `2 + page` as the least of what must be whole pages (`journal/layout.py`).
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = {
    "engine": (
        [
            *("engine/rules/*.py", "engine/catalogue.py", "engine/formulas.py", "engine/reference.py"),
        ],
        [
            [f"tests/engine/test_differential.py::test_engines_agree[{seed}]" for seed in range(4)],
            ["tests/engine", "tests/test_reasons.py", "-m", "not soak", "-k", "not fast and not engines_agree"],
        ],
    ),
    "kernels": (  # each mutant compiles its own, about a minute
        ["engine/kernels/*.py", "engine/fast*.py"],
        [
            [f"tests/engine/test_differential.py::test_engines_agree[{seed}]" for seed in range(4)],
            ["tests/engine", "-m", "not soak", "-k", "not reference and not engines_agree"],
        ],
    ),
    "journal": (["journal/*.py"], [["tests/journal", "-m", "not soak"]]),
}
_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr}
_LIMIT_S = 1500
_HINTS = "ahead.py"
"""What it does changes no event, so no test of behaviour could tell."""


def changes(node: ast.AST) -> list[str]:
    """Names of the operators that apply to a node."""
    if isinstance(node, ast.Compare):
        return ["compare"]
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        return ["arithmetic"]
    if isinstance(node, ast.BoolOp):
        return ["boolean"]
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        return ["negate"]
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return ["constant"]
    calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    return ["leave out"] if calls or isinstance(node, ast.Raise | ast.AugAssign) else []


def mutate(node: ast.AST, operator: str, rng: random.Random) -> ast.AST:
    """The node, changed."""
    if operator == "compare":
        node.ops[0] = _COMPARISONS[type(node.ops[0])]()
    elif operator == "arithmetic":
        node.op = _ARITHMETIC[type(node.op)]()
    elif operator == "boolean":
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif operator == "negate":
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif operator == "constant":
        node.value += rng.choice((-1, 1))
    else:
        return ast.copy_location(ast.Pass(), node)
    return node


class _Apply(ast.NodeTransformer):
    """Changes the node that is the `index`-th in order of walking."""

    def __init__(self, index: int, operator: str, rng: random.Random) -> None:
        self.left, self.operator, self.rng, self.line = index, operator, rng, 0

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        self.left -= 1
        if self.left == -1:
            self.line = getattr(node, "lineno", 0)
            return ast.fix_missing_locations(mutate(copy.deepcopy(node), self.operator, self.rng))
        return super().generic_visit(node)


def places(path: Path) -> list[tuple[int, str]]:
    """(index in order of walking, operator) of everything that can be changed in a file, functions' bodies only."""
    found: list[tuple[int, str]] = []
    counter = [-1]

    def walk(node: ast.AST, *, inside: bool) -> None:
        counter[0] += 1
        if inside:
            found.extend((counter[0], operator) for operator in changes(node))
        for child in ast.iter_child_nodes(node):
            walk(child, inside=inside or isinstance(node, ast.FunctionDef))

    tree = ast.parse(path.read_text())
    _strip(tree)
    walk(tree, inside=False)
    return found


def _strip(tree: ast.AST) -> None:
    """Annotations are no behaviour."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in [*node.args.args, *node.args.kwonlyargs]:
                argument.annotation = None


def run(room: str, path: Path, index: int, operator: str, seed: int) -> tuple[str, bool, str]:
    """Make one mutant and test it: where it is, whether it was killed, by what."""
    tree = ast.parse(path.read_text())
    _strip(tree)
    apply = _Apply(index, operator, random.Random(seed))
    changed = ast.unparse(ast.fix_missing_locations(apply.visit(tree)))
    killed_by = failure(room, path, changed)
    return f"{path.relative_to(ROOT)}:{apply.line} {operator}", bool(killed_by), killed_by


def failure(room: str, path: Path, text: str) -> str:
    """What turned red in a copy of the tree with `text` in place of one file; empty if nothing did."""
    with tempfile.TemporaryDirectory(prefix="seawall-mutant-") as folder:
        for name in ("src", "tests", "examples"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, folder)
        Path(folder, path.relative_to(ROOT)).write_text(text)
        environment = {**os.environ, "PYTHONPATH": str(Path(folder, "src"))}
        if room == "kernels":
            environment["NUMBA_CACHE_DIR"] = str(Path(folder, "compiled"))  # goes with the mutant
        for tests in ROOMS[room][1]:
            command = [sys.executable, "-m", "pytest", "-x", "-q", *tests]
            try:
                done = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, timeout=_LIMIT_S, check=False
                )
            except subprocess.TimeoutExpired:
                return "time-out"
            if done.returncode != 0:
                failed = [line for line in done.stdout.decode().splitlines() if line.startswith(("FAILED", "ERROR"))]
                return failed[0][:100] if failed else "error"
    return ""


def main() -> int:
    """Run the sample; exit 1 below 85 % killed, 2 if the tests are red without any change."""
    parser = argparse.ArgumentParser()
    parser.add_argument("room", choices=sorted(ROOMS))
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    files = sorted(path for pattern in ROOMS[asked.room][0] for path in (ROOT / "src" / "seawall").glob(pattern))
    files = [path for path in files if path.name != _HINTS]
    everything = [(path, index, operator) for path in files for index, operator in places(path)]
    if red := failure(asked.room, files[0], files[0].read_text()):
        print(f"the tests are red before anything is changed: {red}")
        return 2
    chosen = rng.sample(everything, min(asked.count, len(everything)))
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = list(
            pool.map(
                lambda item: _told(run(asked.room, item[1][0], item[1][1], item[1][2], item[0])), enumerate(chosen)
            )
        )
    killed = sum(dead for _, dead, _ in results)
    late = sum(why == "time-out" for _, _, why in results)
    print(f"{killed} of {len(results)} mutants killed ({late} by the time limit), {100 * killed / len(results):.1f} %")
    for where, dead, _ in results:
        if not dead:
            print(f"survived: {where}")
    return 0 if killed >= 0.85 * len(results) else 1


def _told(result: tuple[str, bool, str]) -> tuple[str, bool, str]:
    print(("killed   " if result[1] else "SURVIVED ") + result[0], result[2], file=sys.stderr, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
