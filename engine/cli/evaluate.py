# SPDX-License-Identifier: GPL-3.0-or-later
"""Command eval."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from .options import PRECISION_HELP, Positional, Precision, option
from .reporting import progress_bar


@dataclass(frozen=True)
class Evaluate:
    """Score a result: PSNR and SSIM, into RESULT/metrics.json; of training views, or with another precision, they are only printed."""

    result: Annotated[str, Positional, option("Folder of the result.", "RESULT")]
    split: Annotated[
        Literal["test", "train"],
        option("Which views are scored: the held-out ones, or those that were trained on, whose scores are only printed."),
    ] = "test"
    precision: Annotated[Precision, option(PRECISION_HELP)] = "auto"

    def run(self) -> int:
        """Returns the exit code."""
        from ..jobs.evaluate import evaluate

        with progress_bar() as reporter:
            scores = evaluate(Path(self.result).resolve(), self.split, self.precision, reporter)
        print(f"PSNR {scores['psnr']:.2f} dB, SSIM {scores['ssim']:.4f}, mean of {len(scores['views'])} {self.split} views")
        return 0
