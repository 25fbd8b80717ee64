# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop that drives every training: steps, progress and checkpoints until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .budget import Budget
from .checkpoint import FIRST_CHECKPOINT, Resumable, checkpoint_wait, write_checkpoint
from .context import RunContext

# Shortest interval between two events of progress, s.
_REPORT_EVERY = 0.5
# Weight of the newest loss in the exponential average that is reported.
_LOSS_DECAY = 0.05


class Stepping(Resumable, Protocol):
    """A trainer, as far as the loop knows it."""

    steps_done: int

    def step(self, progress: float) -> float:
        """One step at a share of the run, 0 to 1. Returns the loss."""


def run_steps(
    context: RunContext, trainer: Stepping, budget: Budget, after_step: Callable[[float, float], dict[str, Any]]
) -> dict[str, float]:
    """Steps until the budget is spent or the user cancels.

    Args:
        after_step: called after each step with the run's time and the step's duration, s; returns values to report with the progress.

    Returns:
        The timing, see :class:`~engine.contract.result.Result`.
    """
    clock = budget.clock
    first_step, begin = trainer.steps_done, clock.seconds()
    now = last_report = last_checkpoint = begin
    wait = FIRST_CHECKPOINT
    mean_loss: float | None = None
    while not budget.finished(trainer.steps_done) and not context.cancel.requested:
        loss = trainer.step(budget.progress(trainer.steps_done))
        mean_loss = loss if mean_loss is None else mean_loss + _LOSS_DECAY * (loss - mean_loss)
        now, before = clock.seconds(), now
        facts = after_step(now, now - before)
        if now - last_checkpoint > wait:
            with context.tolerate_full_disk("Training continues; what is learned since the last checkpoint is lost if it crashes."):
                write_checkpoint(context.path, trainer, clock.seconds())
            last_checkpoint = clock.seconds()
            wait = checkpoint_wait(last_checkpoint - now)
        if now - last_report > _REPORT_EVERY:
            last_report, step = now, trainer.steps_done
            times = {"seconds": now, "eta_seconds": budget.eta(step)}
            context.report("progress", stage="train", step=step, steps=budget.total(step), **times, loss=mean_loss, **facts)
    seconds = clock.seconds() - begin
    return {"train": seconds, "step": seconds / max(trainer.steps_done - first_step, 1)}
