"""`python -m bench [NAME…] [--quick]`: measure, print a table, write `docs/bench.json` and its picture."""

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

from bench import bridging, fanout, growth, idle, large, latency, memory, picture, startup
from bench.place import Place
from bench.stats import Curve, Row
from bench.table import table

OUT = Path("docs/bench.json")
PICTURE = Path("docs/pictures/bench.svg")
CASES: dict[str, Callable[[Place], list[Row]]] = {
    "start": startup.run,
    "latency": latency.run,
    "fanout": fanout.run,
    "bridge": bridging.run,
    "large": large.run,
    "memory": memory.run,
    "idle": idle.run,
}
CURVES: dict[str, Callable[[Place], Curve]] = {
    "growth-services": growth.services,
    "growth-fanout": growth.fan_out,
    "growth-events": growth.events,
}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def write(results: list[dict[str, Any]], curves: list[dict[str, Any]], quick: bool) -> dict[str, Any]:
    """Write the results, over those of the same names; the others stay with the date of their own run."""
    old = json.loads(OUT.read_text()) if OUT.exists() else {}
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    stamp = {"date": now, "machine": machine(), "quick": quick}

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
    if rows:
        print(table(rows))
    for curve in curves:
        print(f"\n{curve.what}, {curve.unit}: size, deployer, floor")
        for size, ours, floor in zip(curve.sizes, curve.ours, curve.floor, strict=True):
            print(f"{size:8d} {ours:10.4g} {floor:10.4g}")
    if not asked.quick:
        told = write([row.json() for row in rows], [curve.json() for curve in curves], asked.quick)
        PICTURE.write_text(picture.draw(told))


if __name__ == "__main__":
    main()
