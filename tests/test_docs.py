"""The documents are held to the code: reasons, commands, capabilities, controls, the layout in the README.

`python tests/test_docs.py` writes docs/reasons.md anew.
"""

import ast
import re
from pathlib import Path

import pytest

from seawall.cli.main import COMMANDS
from seawall.vocabulary.reasons import REASONS, Reason

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SHARED = ROOT.parent / "shared"
NOT_YET = "—"


def reasons_page():
    """docs/reasons.md as it ought to be."""
    lines = [
        "# Reasons",
        "",
        "Every refusal, every end of an order and every posting carries one of these codes and two numbers, `a` and",
        "`b`. Codes are never renumbered. 1 to 99 refuse, 100 to 149 say why an order ended, 150 to 199 why money",
        "moved. Error number and word are what the trading dialect answers. Written from `vocabulary/reasons.py` by",
        "`python tests/test_docs.py`. A price below its limit is 10005, price_too_low; 57 because of its underlying is",
        "10019, locked_by_admin.",
        "",
        "| code | reason | says | error | word |",
        "|---|---|---|---|---|",
    ]
    for reason, row in REASONS.items():
        lines.append(f"| {int(reason)} | `{reason.name}` | {row.sentence} | {row.dialect or ''} | {row.word} |")
    return "\n".join(lines) + "\n"


def test_reasons_page():
    assert set(REASONS) == set(Reason)
    assert (DOCS / "reasons.md").read_text() == reasons_page(), "run: python tests/test_docs.py"


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_every_command_is_documented(name):
    assert f"`seawall {name}" in (DOCS / "operator.md").read_text()


def rows(text):
    """The cells of every table row that starts with an id such as X4 or C07."""
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    return {cells[0]: cells[1:] for cells in found if re.fullmatch(r"[A-Z]\d+", cells[0])}


@pytest.mark.parametrize(("page", "source", "count", "width"), [
    ("capabilities.md", "CAPABILITIES.md", 77, 1),
    ("controls.md", "CONTROLS.md", 30, 2),
])  # fmt: skip
def test_tables_have_every_row_of_what_was_asked(page, source, count, width):
    kept = rows((DOCS / page).read_text())
    assert len(kept) == count
    if not (SHARED / source).is_file():
        pytest.skip(f"the table asked for, {source}, is not beside this checkout")
    asked = rows((SHARED / source).read_text())
    for name, cells in asked.items():
        wanted = [cell for cell in cells if cell]
        assert [cell for cell in kept[name][:width] if cell] == wanted, name


@pytest.mark.parametrize("page", ["capabilities.md", "controls.md"])
def test_tables_name_modules_and_tests_that_exist(page):
    for name, cells in rows((DOCS / page).read_text()).items():
        where, shown = cells[-2:]
        assert (where == NOT_YET) == (shown == NOT_YET), name
        if where == NOT_YET:
            continue
        for path in re.findall(r"(?:src|docs)/[\w/.]*", where):
            assert (ROOT / path).exists(), f"{name}: {path}"
        proofs = re.findall(r"`([^`]+)`", shown)
        assert proofs, name
        for proof in proofs:
            check_exists(name, proof)


def check_exists(row, proof):
    if proof.startswith("seawall "):
        assert proof.removeprefix("seawall ") in dict(COMMANDS), f"{row}: {proof}"
        return
    file, _, function = proof.partition("::")
    defined = {
        node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)
    }
    assert function in defined, f"{row}: {proof}"


def test_controls_name_reasons_that_exist():
    for name, cells in rows((DOCS / "controls.md").read_text()).items():
        assert re.search(r"\d", cells[-4]), f"{name}: no clause"
        for word in re.findall(r"\b[A-Z_]{4,}\b", cells[-3]):
            assert word in Reason.__members__ or word == "DUPLICATE", f"{name}: {word}"


def test_the_readme_lists_the_rooms_there_are():
    rooms = {path.name for path in (ROOT / "src" / "seawall").iterdir() if (path / "__init__.py").is_file()}
    listed = set(re.findall(r"^\| `(\w+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert listed == rooms


def test_links_between_documents_lead_somewhere():
    for page in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


if __name__ == "__main__":
    (DOCS / "reasons.md").write_text(reasons_page())
