# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures, and writes docs/benchmarks.md with its plots. Figures are kept in docs/benchmarks.json, each with its commit, date and machine.

python3 scripts/dev.py benchmarks                    everything anew
python3 scripts/dev.py benchmarks --only lego-90s    a part (several may be named); the other figures stay as they were
python3 scripts/dev.py benchmarks --page             only the page and the plots, from the figures that are kept
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import page
from .measure import ROOT, measure
from .plan import PARTS


def main(arguments: list[str], docs: Path = ROOT / "docs") -> int:
    """Measures what is asked for and writes the page. Returns the exit code."""
    parser = argparse.ArgumentParser("dev.py benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="NAME", help=f"parts to measure: {', '.join(PARTS)}")
    chosen.add_argument("--page", action="store_true", help="measure nothing")
    given = parser.parse_args(arguments)
    file = docs / "benchmarks.json"
    figures = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for part in () if given.page else given.only:
        print(f"Measuring {part}", flush=True)
        measure(part, figures)
        # After each part: what took minutes is not lost when a later one fails.
        file.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    page.write(docs / "benchmarks.md", figures)
    # Late: while training is measured, this process stays small.
    from . import plots

    if "runs" in figures:
        plots.curves(docs / "benchmarks_curves.png", figures["runs"])
    if "scaling" in figures:
        plots.scaling(docs / "benchmarks_scaling.png", figures["scaling"])
    print(f"Written: {docs / 'benchmarks.md'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("benchmarks: stopped")
