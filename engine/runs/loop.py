# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop that drives every training: steps, progress and checkpoints until the budget is spent."""

from __future__ import annotations

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


class Hooks:
    """What a training does beside its steps; a base that does nothing."""

    def measure(self, step_seconds: float) -> None:
        """Called after each step with its duration, s, to adjust the budget."""

    def between_steps(self, now: float) -> None:
        """Called between two steps with the run's time, s, to render a preview or to validate where that is due."""

    def facts(self) -> dict[str, Any]:
        """Values that are reported with the progress."""
        return {}


def run_steps(context: RunContext, trainer: Stepping, budget: Budget, hooks: Hooks) -> dict[str, float]:
    """Steps until the budget is spent or the user cancels.

    Returns:
        The timing, see :class:`~engine.contract.result.Result`.
    """
    clock = budget.clock
    first_step, started = trainer.steps_done, clock.seconds()
    now = last_report = last_checkpoint = started
    wait = FIRST_CHECKPOINT
    mean_loss: float | None = None

    def report() -> None:
        step, times = trainer.steps_done, {"seconds": now, "eta_seconds": budget.eta(trainer.steps_done)}
        context.report("progress", stage="train", step=step, steps=budget.total(step), **times, loss=mean_loss, **hooks.facts())

    while not budget.finished(trainer.steps_done) and not context.cancel.requested:
        begin = clock.seconds()
        loss = trainer.step(budget.progress(trainer.steps_done))
        mean_loss = loss if mean_loss is None else mean_loss + _LOSS_DECAY * (loss - mean_loss)
        now = clock.seconds()
        hooks.measure(now - begin)
        if budget.finished(trainer.steps_done):
            # What is written now is written again at the end.
            break
        hooks.between_steps(now)
        if now - last_checkpoint > wait:
            with context.tolerate_full_disk("Training continues; what is learned since the last checkpoint is lost if it crashes."):
                write_checkpoint(context.path, trainer, clock.seconds())
            last_checkpoint = clock.seconds()
            wait = checkpoint_wait(last_checkpoint - now)
        if now - last_report > _REPORT_EVERY:
            last_report = now
            report()
    # Its last line names the last step.
    report()
    seconds = clock.seconds() - started
    return {"train": seconds, "step": seconds / max(trainer.steps_done - first_step, 1)}
