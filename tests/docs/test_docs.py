"""What the documentation says can be looked up: links, tests, modules, and the reference, which is generated."""

import re

import pytest
from paths import ROOT, all_tests

from tools import modules, reference

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
# Written at the same time as this test; take a name out when its page is there.
EXPECTED: set[str] = set()


def prose(page):
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """The names that headings get where Markdown is shown on the web."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.name in EXPECTED and not target.exists():
            continue
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_no_page_is_expected_that_is_there():
    assert not {name for name in EXPECTED if (ROOT / "docs" / name).exists()}


def test_every_page_is_in_the_index():
    index = set(re.findall(r"\]\(([a-z-]+\.md)\)", (ROOT / "docs" / "README.md").read_text()))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} <= index


def test_the_reference_is_that_of_the_code():
    assert reference.TARGET.read_text() == reference.page(), "run python -m tools.reference"


def test_what_nobody_can_do_is_proved_by_tests_that_exist():
    text = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    tests = all_tests()
    assert named
    assert not {name for name in named if f"def {name}(" not in tests}


def test_every_cannot_has_its_proof():
    """Each row of a table whose column says what is impossible names a test."""
    text = (ROOT / "docs" / "security.md").read_text()
    tables = re.findall(r"^\| cannot \| proved by \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 10
    assert [row for row in rows if not re.search(r"`test_[a-z0-9_]+`", row)] == []


def test_the_module_map_is_that_of_the_docstrings():
    assert modules.TARGET.read_text() == modules.page(), "run python -m tools.reference"


def test_settings_commands_and_labels_that_the_pages_name_exist():
    known = (ROOT / "docs" / "reference.md").read_text()
    stack = (ROOT / "deploy" / "stack.yml").read_text()  # has some variables of its own
    known += "".join(f"`{name}`" for name in re.findall(r"\$\{(DEPLOYER_[A-Z_]+)", stack))
    for page in PAGES:
        named = set(re.findall(r"`(DEPLOYER_[A-Z_]+[A-Z])`", page.read_text()))
        assert not {name for name in named if f"`{name}`" not in known}, page.name
        commands = set(re.findall(r"`deployer ([a-z]+)\b", page.read_text()))
        assert not {name for name in commands if f"### deployer {name}\n" not in known}, page.name
