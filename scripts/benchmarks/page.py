# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the generated part of docs/benchmarks.md from the figures that are kept; what stands outside of its two marks stays."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from .plan import BY_GAUSSIANS, BY_PIXELS, FIELDS, FIXTURES, MEMORY, RUNS

BEGIN = "<!-- Written by scripts/dev.py benchmarks from benchmarks.json: begin. Changes here are lost. -->"
END = "<!-- Written by scripts/dev.py benchmarks: end -->"
PARTS = ("forward", "loss", "backward", "update")
Figures = dict[str, dict[str, dict[str, Any]]]


def write(page: Path, figures: Figures) -> None:
    """Replaces what is between the marks.

    Raises:
        SystemExit: a mark is missing.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"benchmarks: {page} has lost one of its two marks.")
    page.write_text(f"{before}{BEGIN}\n\n{generated(figures)}\n\n{END}{after}", encoding="utf-8", newline="\n")


def generated(figures: Figures) -> str:
    """The generated part, in Markdown. What was not measured yet has no row."""
    planned = {"runs": RUNS, "fixtures": FIXTURES, "fields": FIELDS, "scaling": (*BY_GAUSSIANS, *BY_PIXELS)}
    figures = {kind: {name: row for name, row in figures.get(kind, {}).items() if name in names} for kind, names in planned.items()}
    machines = Machines(figures)
    sections = [
        machines.section(),
        _training(figures, machines),
        _steps(figures, machines),
        _fields(figures, machines),
        _scaling(figures, machines),
    ]
    return "\n\n".join(section for section in sections if section)


class Machines:
    """The machines that figures come from, with a letter each where there is more than one."""

    def __init__(self, figures: Figures):
        self.known: list[dict[str, Any]] = []
        for rows in figures.values():
            for row in rows.values():
                if row["measured"]["machine"] not in self.known:
                    self.known.append(row["measured"]["machine"])

    def section(self) -> str:
        lines = ["## Machine", ""]
        for index, machine in enumerate(self.known):
            versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
            lines.append(
                f"- {self._letter(index)}{machine['processor']}; {machine['threads']} threads; {machine['memory_gib']} GiB; "
                f"{machine['system']}; {versions}. No GPU is used."
            )
        return "\n".join(lines) if self.known else "Nothing was measured yet."

    def source(self, row: dict[str, Any]) -> str:
        """Commit, date, and machine where there are several."""
        measured = row["measured"]
        changes = "" if measured["clean"] else " with changes"
        letter = self._letter(self.known.index(measured["machine"])).rstrip(": ")
        return f"{measured['commit']}{changes}, {measured['date']}" + (f", {letter}" if letter else "")

    def _letter(self, index: int) -> str:
        return f"{chr(ord('A') + index)}: " if len(self.known) > 1 else ""


def _training(figures: Figures, machines: Machines) -> str:
    measured, rows = figures["runs"], []
    for name, plan in RUNS.items():
        if name not in measured:
            continue
        row = measured[name]
        goals = []
        if plan.psnr is not None:
            goals.append((f"≥ {plan.psnr} dB", row["psnr"] >= plan.psnr))
        if plan.below is not None:
            goals.append((f"not yet {plan.below} dB", row["psnr"] < plan.below))
        if plan.behind is not None and plan.behind[0] in measured:
            other, most = plan.behind
            goals.append((f"≤ {most} dB below {other}", row["psnr"] >= measured[other]["psnr"] - most))
        if plan.gaussians is not None:
            goals.append((f"≤ {plan.gaussians:,} gaussians", row["gaussians"] <= plan.gaussians))
        if plan.seconds is not None:
            goals.append((f"≤ {plan.seconds:g} s", row["seconds"] <= plan.seconds))
        rows.append(
            [
                name,
                f"`{row['command']}`",
                f"{row['steps']:,}",
                f"{row['seconds']:.0f} ({row['train_seconds']:.0f})",
                f"{row['step_milliseconds']:.1f}",
                "" if row["gaussians"] is None else f"{row['gaussians']:,}",
                f"{row['psnr']:.2f}",
                f"{row['ssim']:.4f}",
                f"{row['peak_bytes'] / 2**30:.2f}",
                _goals(goals),
                machines.source(row),
            ]
        )
    if not rows:
        return ""
    head = (
        "run",
        "command",
        "steps",
        "seconds",
        "ms a step",
        "gaussians",
        "PSNR, dB",
        "SSIM",
        "peak memory, GiB",
        "goal",
        "measured",
    )
    return "\n\n".join(
        [
            "## Training",
            _table(head, rows),
            "Seconds are wall clock from the process's start to the written and scored result, in brackets the training alone.\n"
            "Scores are means over all held-out views, by `eval` where the run itself had time for some of them only;\n"
            "where the goal is not to have reached something yet, over those that the run had time for.\n"
            "Peak memory is the process's largest resident set.",
            "![PSNR over time](benchmarks_curves.png)",
            "The curves are of one view, the first that is held out, as the previews show it, in as\n"
            "many pixels as can be drawn in two seconds; dashed is the goal for the mean of all.",
        ]
    )


def _steps(figures: Figures, machines: Machines) -> str:
    measured, times, work = figures["fixtures"], [], []
    for name, most in FIXTURES.items():
        if name not in measured:
            continue
        row = measured[name]
        milliseconds, evaluated = row["milliseconds"], row["evaluated_pairs"]
        size = "×".join(map(str, row["size"]))
        parts = [f"{milliseconds[part]:.1f}" for part in PARTS]
        goal = _goals([(f"≤ {most:g} ms", milliseconds["step"] <= most)])
        times.append([name, f"{row['gaussians']:,}", size, f"{milliseconds['step']:.1f}", *parts, goal, machines.source(row)])
        speeds = [
            f"{row[kind][way] / 1e9:.2f}"
            for way in ("forward", "backward")
            for kind in ("evaluated_pairs_per_second", "useful_pairs_per_second")
        ]
        shares = [f"{row['share_of_peak'][way]:.0%}" for way in ("forward", "backward")]
        useful = f"{row['useful_pairs'] / max(evaluated, 1):.0%}"
        peak = f"{row['peak_vector_operations_per_second'] / 1e9:.1f}"
        work.append([name, f"{evaluated / 1e6:.1f}", useful, *speeds[:2], shares[0], *speeds[2:], shares[1], peak])
    if not times:
        return ""
    way = "G pairs/s", "useful", "of the peak"
    forward, backward = ([f"{name}: {way[0]}", *way[1:]] for name in ("forward", "backward"))
    return "\n\n".join(
        [
            "## A training step",
            "`python -m engine bench`, best of 15 runs, milliseconds:",
            _table(("fixture", "gaussians", "size", "step", *PARTS, "goal", "measured"), times),
            "The compositing alone. A pair is a gaussian and a pixel; useful are those that change the pixel. The peak is what all\n"
            "threads together multiply and add at best, in G operations on sixteen numbers a second:",
            _table(("fixture", "M pairs", "of them useful", *forward, *backward, "peak"), work),
        ]
    )


def _fields(figures: Figures, machines: Machines) -> str:
    rows = []
    for name, (samples, encoding, picture) in FIELDS.items():
        if name not in figures["fields"]:
            continue
        row = figures["fields"][name]
        times = row["milliseconds"]
        both = times["encode"] + times["encode_backward"]
        size = "×".join(map(str, row["size"]))
        cells = [
            name,
            f"2^{row['log2_table']}",
            f"{row['samples_per_second'] / 1e6:.2f}",
            f"{row['learnt_per_second'] / 1e6:.2f}",
            f"{row['samples_per_step']:,}",
            f"{times['step']:.1f}",
        ]
        cells += [f"{times['encode']:.1f}", f"{times['encode_backward']:.1f}", f"{times['picture']:.0f} ({size})"]
        goals = [(f"≥ {samples / 1e6:g} M learnt from/s", row["learnt_per_second"] >= samples)] if samples else []
        goals += [
            (f"encoding ≤ {encoding:g} ms", both <= encoding),
            (f"picture ≤ {picture:g} ms", times["picture"] <= picture),
        ]
        rows.append([*cells, _goals(goals), machines.source(row)])
    if not rows:
        return ""
    head = (
        "fixture",
        "rows of a table",
        "M samples/s",
        "learnt from",
        "samples a step",
        "ms a step",
        "encoding",
        "its backward",
        "a picture",
        "goal",
        "measured",
    )
    about = (
        "`python -m engine bench ngp-lego`: samples that training takes in a second, with rays, marching, looks at the occupancy grid,\n"
        "Adam and averages. All of them are in the loss; of a ray's that hardly show, every fourth is learnt from and stands for the\n"
        "rest, but in `ngp-lego-every`. Milliseconds of the encoding of 65 536 samples along rays, and of a picture:"
    )
    return "\n\n".join(["## A step of a field", about, _table(head, rows)])


def _scaling(figures: Figures, machines: Machines) -> str:
    measured, tables = figures["scaling"], []
    for title, names in (("1920×1080, more gaussians:", BY_GAUSSIANS), ("200 000 gaussians, more pixels:", BY_PIXELS)):
        rows, last = [], None
        for name in names:
            if name not in measured:
                continue
            row = measured[name]
            size = row["gaussians"] if names is BY_GAUSSIANS else row["size"][0] * row["size"][1]
            step, gib = row["milliseconds"]["step"], row["peak_bytes"] / 2**30
            growth = f"×{step / last[1]:.2f} for ×{size / last[0]:g}" if last else ""
            goal = _goals([(f"≤ {MEMORY[name]:g} GiB", gib <= MEMORY[name])]) if name in MEMORY else ""
            cells = [f"{row['gaussians']:,}", "×".join(map(str, row["size"])), f"{step:.1f}", growth, f"{gib:.2f}", goal]
            rows.append([*cells, machines.source(row)])
            last = size, step
        if rows:
            head = "gaussians", "size", "ms a step", "growth", "peak memory, GiB", "goal", "measured"
            tables += [title, _table(head, rows)]
    if not tables:
        return ""
    about = (
        "One step on the gaussians of `object-50k` in other numbers, seen in other sizes, as by\n"
        "`python -m engine bench shells-1000k-1920x1080`. The goal is that time grows no faster than linearly, the dashed line.\n"
        "Peak memory is the process's largest resident set, with Adam's moments, one view, and the libraries."
    )
    return "\n\n".join(["## Scaling", about, "![Time of a step over gaussians and pixels](benchmarks_scaling.png)", *tables])


def _goals(goals: list[tuple[str, bool]]) -> str:
    return ", ".join(f"{words}: {'met' if met else '**missed**'}" for words, met in goals)


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [head, ["---" if index == 0 or re.search(r"command|goal|measured", name) else "---:" for index, name in enumerate(head)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
