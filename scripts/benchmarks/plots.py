# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

from .plan import BY_GAUSSIANS, BY_PIXELS, RUNS  # noqa: E402

Records = dict[str, dict[str, Any]]


def curves(file: Path, runs: Records) -> None:
    """PSNR of the previews over seconds, a line for each run, dashed its goal."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name in (name for name in RUNS if name in runs):
        seconds, psnr = zip(*runs[name]["curve"], strict=True) if runs[name]["curve"] else ((), ())
        (line,) = axes.plot(seconds, psnr, marker=".", label=name)
        if RUNS[name].psnr is not None:
            axes.plot((10, runs[name]["seconds"]), (RUNS[name].psnr,) * 2, "--", color=line.get_color(), linewidth=0.8)
    axes.set(xlabel="seconds since the start", ylabel="PSNR of the first held-out view, dB", xscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    _save(figure, file)


def scaling(file: Path, sizes: Records) -> None:
    """Seconds of a step over gaussians and over pixels, dashed what linear growth from the smallest would be."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
    _growth(left, [sizes[name] for name in BY_GAUSSIANS if name in sizes], lambda row: row["gaussians"])
    _growth(right, [sizes[name] for name in BY_PIXELS if name in sizes], lambda row: row["size"][0] * row["size"][1])
    left.set(xlabel="gaussians, at 1920×1080", ylabel="seconds of a step")
    right.set(xlabel="pixels, of 200 000 gaussians")
    left.legend()
    _save(figure, file)


def _growth(axes: plt.Axes, rows: list[dict[str, Any]], size: Callable[[dict[str, Any]], int]) -> None:
    sizes, seconds = [size(row) for row in rows], [row["milliseconds"]["step"] / 1e3 for row in rows]
    axes.loglog(sizes, seconds, marker="o", label="measured")
    if sizes:
        axes.loglog(sizes, [seconds[0] * each / sizes[0] for each in sizes], "--", color="gray", label="linear")
    axes.grid(alpha=0.3, which="both")


def _save(figure: plt.Figure, file: Path) -> None:
    # Without the version that drew it, so that the same figures give the same bytes.
    figure.savefig(file, dpi=100, metadata={"Software": None})
    plt.close(figure)
