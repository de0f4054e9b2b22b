"""The bench counts and prints what it says, and its page is that of its results. No absolute time is asserted."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from bench import picture
from bench.stats import Curve, Row, Spread
from bench.table import BEGIN, END, curve, placed, report, table

TOLD = json.loads((ROOT / "docs" / "bench.json").read_text())
values = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30)


@given(values)
def test_a_spread_lies_between_its_ends(found):
    spread = Spread.of(found)
    assert min(found) == spread.least <= spread.median <= spread.p95 <= spread.most == max(found)
    assert sum(one <= spread.p95 for one in found) >= 0.95 * len(found)


def test_nothing_measured_has_no_spread():
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])


OURS, FLOOR = Spread.of([2.0, 4.0, 3.0]), Spread.of([1.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("row", "value", "met"),
    [
        (Row("a", "what", "s", OURS, FLOOR, target=3), 3.0, True),
        (Row("a", "what", "s", OURS, FLOOR, target=2.9), 3.0, False),
        (Row("a", "what", "s", OURS, FLOOR, target=2, by="p95"), 2.0, True),
        (Row("a", "what", "1/s", OURS, FLOOR, target=3.1, at_least=True), 3.0, False),
        (Row("a", "what", "s", OURS, target=3.0), 3.0, True),
        (Row("a", "what", "s", OURS, FLOOR), 3.0, None),
    ],
)
def test_a_row_is_judged_by_its_ratio_or_by_itself(row, value, met):
    assert (row.value, row.met) == (value, met)


def test_the_ratios_of_repetitions_are_those_of_neighbours():
    assert Row("a", "what", "s", OURS, FLOOR).pairs == Spread.of([2.0, 4.0, 1.5])
    assert Row("a", "what", "s", OURS, Spread.of([1.0])).pairs is None


def test_the_table_tells_median_spread_ratio_and_verdict():
    rows = [
        Row("a", "fan-out", "s", OURS, FLOOR, target=2.9).json(),
        Row("b", "import", "s", Spread.of([0.25]), target=0.35).json(),
    ]
    head, line, first, second = table(rows).splitlines()
    assert {len(one) for one in (head, line, first, second)} == {len(head)}
    assert [cell.strip() for cell in first.strip("|").split("|")] == [
        "fan-out", "s", "3 (4; 2–4)", "1 (2; 1–2)", "3 × (1.5–4)", "≤ 2.9 ×", "**no**",
    ]  # fmt: skip
    assert [cell.strip() for cell in second.strip("|").split("|")] == [
        "import", "s", "0.25", "–", "–", "≤ 0.35 s", "yes",
    ]  # fmt: skip


def test_a_curve_tells_what_one_more_costs():
    one = Curve("c", "push", "s", (10, 110), (1.0, 3.0), (0.5, 1.5)).json()
    assert [cell.strip() for cell in curve(one).splitlines()[-1].strip("|").split("|")] == [
        "110", "3", "1.5", "0.02", "0.01",
    ]  # fmt: skip


def test_text_goes_between_the_marks_and_nowhere_else():
    page = f"before\n{BEGIN}old{END}\nafter\n"
    assert placed(page, "new") == f"before\n{BEGIN}new{END}\nafter\n"
    with pytest.raises(ValueError, match="no marks"):
        placed("no marks here", "new")


def test_the_page_is_that_of_the_results():
    page = (ROOT / "docs" / "performance.md").read_text()
    assert placed(page, report(TOLD)) == page, "run make bench"


def test_the_picture_is_that_of_the_results():
    text = (ROOT / "docs" / "pictures" / "bench.svg").read_text()
    assert text == picture.draw(TOLD), "run make bench"
    shown = "".join(ET.fromstring(text).itertext())
    assert all(row["what"] in shown for row in TOLD["rows"] if row["target"] is not None)


@pytest.mark.real
def test_a_quick_run_measures_and_writes_nothing(tmp_path):
    before = (ROOT / "docs" / "bench.json").read_bytes()
    argv = [sys.executable, "-m", "bench", "bridge", "--quick"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| bridge, 500 events waiting" in done.stdout
    assert (ROOT / "docs" / "bench.json").read_bytes() == before
