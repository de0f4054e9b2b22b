"""`python -m bench [NAME…] [--quick]`: measure, print tables, write docs/bench.json, its page and picture."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import bridging, ecs, fanout, growth, idle, large, latency, memory, picture, startup, waiting
from bench.place import Place
from bench.stats import Curve, Row
from bench.table import curve as curve_table
from bench.table import placed, report, table

OUT = Path("docs/bench.json")
PAGE = Path("docs/performance.md")
PICTURE = Path("docs/pictures/bench.svg")
CASES: dict[str, Callable[[Place], list[Row]]] = {
    "start": startup.run,
    "latency": latency.run,
    "fanout": fanout.run,
    "bridge": bridging.run,
    "large": large.run,
    "memory": memory.run,
    "idle": idle.run,
    "waiting": waiting.run,
    "ecs": ecs.run,
}
CURVES: dict[str, Callable[[Place], Curve]] = {
    "growth-services": growth.services,
    "growth-fanout": growth.fan_out,
    "growth-events": growth.events,
}


def machine() -> dict[str, Any]:
    """Describe the machine that was measured."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write(results: list[dict[str, Any]], curves: list[dict[str, Any]], load: float) -> dict[str, Any]:
    """Write the results, over those of the same names; the others stay with the date of their own run."""
    old = json.loads(OUT.read_text()) if OUT.exists() else {}
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    stamp = {"date": now, "machine": machine() | {"load": round(load, 2)}}

    def merged(kind: str, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = {one["name"]: one for one in old.get(kind, [])}
        kept |= {one["name"]: one | stamp for one in new}
        return list(kept.values())

    told = {"rows": merged("rows", results), "curves": merged("curves", curves)}
    OUT.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return told


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*CASES, *CURVES]))
    parser.add_argument("--quick", action="store_true", help="smaller sizes; nothing is written")
    asked = parser.parse_args()
    if unknown := set(asked.names) - {*CASES, *CURVES}:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    load = os.getloadavg()[0]  # of others: what is measured makes its own
    names = asked.names or [*CASES, *CURVES]
    rows: list[Row] = []
    curves: list[Curve] = []
    with Place(asked.quick) as place:
        for name in names:
            begun = time.monotonic()
            print(f"{name} …", file=sys.stderr, flush=True)
            if name in CASES:
                rows += CASES[name](place)
            else:
                curves.append(CURVES[name](place))
            print(f"  {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    found, grown = [row.json() for row in rows], [one.json() for one in curves]
    if found:
        print(table(found))
    for one in grown:
        print(f"\n{one['what']}\n\n{curve_table(one)}")
    if not asked.quick:
        told = write(found, grown, load)
        PICTURE.write_text(picture.draw(told))
        PAGE.write_text(placed(PAGE.read_text(), report(told)))


if __name__ == "__main__":
    main()
