# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints: a trainer's whole state in one safetensors file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..contract.checkpoints import Progress
from ..contract.errors import UserError
from ..contract.parsing import parse_json
from ..contract.result import CHECKPOINT, replacing
from ..contract.schema import from_mapping
from ..data.checkpoint_arrays import reason

_RESTART = "Train from the start again, which replaces the result."


# The first checkpoint comes early, so that a crash soon after the start does not lose everything (seconds of training).
FIRST_CHECKPOINT = 10.0
# Later ones come not more often than this, and take at most this share of the time.
_EVERY, _SHARE = 60.0, 0.02


def checkpoint_wait(seconds: float) -> float:
    """Seconds until the next checkpoint, after one that took ``seconds``."""
    return max(_EVERY, seconds / _SHARE)


class Resumable(Protocol):
    """A trainer, as far as checkpoints know it."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything that a resumed run needs to go on exactly: arrays, and plain values for JSON."""

    def load_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Takes over what :meth:`state` gave."""


@dataclass(frozen=True)
class Checkpoint:
    """``facts`` are of the method (contract/checkpoints); they are valid in themselves."""

    file: Path
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]
    progress: Progress


def write_checkpoint(folder: Path, trainer: Resumable, seconds: float) -> None:
    """Writes a trainer's state completely or not at all.

    Args:
        seconds: that the run took so far.

    Raises:
        UserError: the disk is full.
    """
    arrays, facts = trainer.state()
    # safetensors' writer takes contiguous arrays only, and stores the bytes of others in silence (0.5).
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with replacing(folder / CHECKPOINT) as temporary:
        # Not save_file: it hides a full disk in an error of its own.
        temporary.write_bytes(save(contiguous, {"state": json.dumps({**facts, "seconds": seconds})}))


def read_progress(folder: Path) -> Progress | None:
    """How far the checkpoint of a result is, None where there is none.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / CHECKPOINT
    if not file.is_file():
        return None
    with _damages(file), safe_open(file, "numpy") as tensors:
        return _parts(tensors.metadata())[1]


def read_checkpoint(folder: Path, state: type) -> Checkpoint | None:
    """Reads the checkpoint of a result, None where there is none.

    Args:
        state: dataclass of what it holds beside arrays.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / CHECKPOINT
    if not file.is_file():
        return None
    with _damages(file), safe_open(file, "numpy") as tensors:
        facts, progress = _parts(tensors.metadata())
        from_mapping(state, facts)
        return Checkpoint(file, {name: tensors.get_tensor(name) for name in tensors.keys()}, facts, progress)


def restore(trainer: Resumable, saved: Checkpoint) -> None:
    """Has a trainer go on from a checkpoint.

    Raises:
        UserError: the checkpoint is damaged, or is not of the trainer's capture and settings.
    """
    try:
        trainer.load_state(saved.arrays, saved.facts)
    except UserError as error:
        if error.code == "damaged":
            raise _damaged(saved.file, error.message) from None
        raise UserError(error.message, error.hint or _RESTART, error.code) from None


def _parts(metadata: dict[str, str] | None) -> tuple[dict[str, Any], Progress]:
    """The method's facts, and how far the run was."""
    facts = parse_json((metadata or {})["state"], "its state")
    progress = from_mapping(Progress, facts, ignore_unknown=True)
    del facts["seconds"]
    return facts, progress


@contextlib.contextmanager
def _damages(file: Path) -> Iterator[None]:
    """Says of what goes wrong in reading a file that the file is damaged."""
    try:
        yield
    except UserError as error:
        raise _damaged(file, error.message) from None
    except KeyError as error:
        raise _damaged(file, f"it lacks {error}.") from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(file, f"{reason(error)}.") from None


def _damaged(file: Path, reason: str) -> UserError:
    return UserError(f"{file} is damaged: {reason}", _RESTART, "damaged")
