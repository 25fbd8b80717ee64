# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a capture's cameras that need no image: they come before anything is loaded or compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..contract.capture import Capture, Frame
from ..contract.errors import UserError

# Positions are the same up to this share of the largest coordinate: many files keep no more than float32.
_ROUNDING = 1e-7
# Shorter focal lengths, as a share of the image's side, see more than 170 degrees.
_MIN_FOCAL_SHARE = 0.04
# Digits to which poses are compared, positions in units of the cameras' extent.
_DIGITS = 6


def check_poses(capture: Capture) -> tuple[str, ...]:
    """Refuses a capture that no method can learn depth from.

    Args:
        capture: as read.

    Returns:
        Warnings, one sentence each.

    Raises:
        UserError: there is no training view, a single one, or all are at one position.
    """
    train, test = capture.split("train"), capture.split("test")
    if not train:
        raise UserError(f"{capture.folder} has no view to train on.", "Add views.")
    positions, hint = _positions(train), "Add views from other positions."
    if len(train) == 1:
        held = " once one is held out for scoring" if test else ""
        raise UserError(f"{capture.folder} has a single training view{held}, and depth cannot be learned from one view.", hint, "bad_input")
    if np.ptp(positions, axis=0).max() <= _ROUNDING * np.abs(positions).max():
        raise UserError(
            f"All {len(train)} training views of {capture.folder} are at one position, and depth cannot be learned without parallax.",
            hint,
            "bad_input",
        )
    warnings = _implausible_lenses(capture)
    seen = set(_keys(train, positions))
    again = sum(key in seen for key in _keys(test, positions))
    if again:
        what = "view has the pose of a training view" if again == 1 else "views have the poses of training views"
        warnings += (f"{again} of {len(test)} held-out {what}, so the scores say little about new views.",)
    return warnings


def _implausible_lenses(capture: Capture) -> tuple[str, ...]:
    """A warning where intrinsics can hardly be those of the images, as if they were normalized or of another size."""
    wrong = [frame for frame in capture.frames if not _is_plausible(frame)]
    if not wrong:
        return ()
    first = wrong[0]
    lens = f"focal length {first.fl_x:.6g}, principal point {first.cx:.6g}, {first.cy:.6g} for {first.w} × {first.h} pixels"
    count = f"{len(wrong)} of {len(capture.frames)} views"
    return (f"The lens of {count} is implausible ({first.name}: {lens}). Intrinsics have to be in pixels of the image.",)


def _is_plausible(frame: Frame) -> bool:
    inside = -frame.w <= frame.cx <= 2 * frame.w and -frame.h <= frame.cy <= 2 * frame.h
    return inside and min(frame.fl_x / frame.w, frame.fl_y / frame.h) >= _MIN_FOCAL_SHARE


def _positions(frames: Sequence[Frame]) -> np.ndarray:
    return np.array([frame.transform_matrix for frame in frames], np.float64).reshape(-1, 4, 4)[:, :3, 3]


def _keys(frames: Sequence[Frame], train: np.ndarray) -> list[bytes]:
    """What equal poses have in common. train: [N, 3], positions of the training views, whose extent is the unit."""
    poses = np.array([frame.transform_matrix for frame in frames], np.float64).reshape(-1, 4, 4)[:, :3]
    poses[:, :, 3] = (poses[:, :, 3] - train.mean(axis=0)) / np.ptp(train, axis=0).max()
    return [key.tobytes() for key in np.round(poses, _DIGITS) + 0.0]
