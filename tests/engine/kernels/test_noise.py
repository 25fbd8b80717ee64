# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise on places against the torch reference."""

import numpy as np
import torch

from engine.kernels.noise import cpu, reference
from engine.splats.gaussians import Gaussians


def test_moves_equal_the_reference_and_opaque_gaussians_stay():
    rng = np.random.default_rng(0)
    count, f = 70, np.float32
    values = {
        "means": rng.normal(size=(count, 3)).astype(f),
        "log_scales": rng.normal(-1, 0.5, (count, 3)).astype(f),
        "quats": rng.normal(size=(count, 4)).astype(f),
        "opacity_logits": np.linspace(-9, 9, count).astype(f),
        "sh0": np.zeros((count, 3), f),
        "shn": np.zeros((count, 0, 3), f),
    }
    made = Gaussians(values, np.zeros(3))
    normal = rng.standard_normal(1024).astype(f)
    cpu.shake(made.table, normal, 32, 2.0)
    drawn = np.stack([normal[32 + 48 * (i // 16) + 16 * np.arange(3) + i % 16] for i in range(count)])
    tensors = (torch.from_numpy(values[name]).double() for name in ("log_scales", "quats", "opacity_logits"))
    expected = reference.moves(*tensors, torch.from_numpy(drawn).double(), 2.0).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(made.values["means"] - values["means"], expected, atol=2e-4)
    assert np.array_equal(made.values["means"][-16:], values["means"][-16:])
