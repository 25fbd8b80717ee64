# SPDX-License-Identifier: GPL-3.0-or-later
"""Gains of photos against torch, and on pictures that were taken with different exposures."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.contract.methods.splat import SplatSettings
from engine.contract.settings import TrainSettings
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.kernels.photometric import cpu, reference
from engine.methods.splat import SplatTrainer
from engine.runs.scoring import score
from engine.splats.exposure import Exposure
from engine.splats.loss import PhotometricLoss

FAST = SplatSettings(max_gaussians=300, refine_start=40, refine_every=20, sh_degree=0, half_until=0.0)


@pytest.mark.parametrize("linear", [False, True])
def test_gradients_by_picture_and_gains(linear):
    rng = np.random.default_rng(0)
    size = (33, 50)
    colors, through = rng.uniform(0, 1.0, (3, *size)), rng.random(size)
    pixels = rng.integers(0, 256, (*size, 4)).astype(np.uint8)
    background, logs = rng.random(3).astype(np.float32), torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    gains = np.exp(logs.detach().numpy()).astype(np.float32)
    image = np.concatenate([colors + through * (background / gains)[:, None, None], through[None]]).astype(np.float32)
    loss, v_image = PhotometricLoss(0.2, linear)(image, pixels, background, gains=gains)
    sums = np.empty((3, size[0]))
    cpu.gain_slopes(image, v_image, background / gains, sums)

    leaf = torch.tensor(colors, requires_grad=True)
    behind = torch.tensor(background, dtype=torch.float64)[:, None, None]
    codes, alpha = torch.tensor(pixels[..., :3] / 255).permute(2, 0, 1), torch.tensor(pixels[..., 3] / 255)
    # What lies behind is as bright as ever.
    light = torch.exp(logs)[:, None, None] * leaf + torch.tensor(through) * behind
    if linear:
        target = reference.srgb_encode(reference.srgb_decode(codes) * alpha + (1 - alpha) * behind)
        light = reference.srgb_encode(light)
    else:
        target = codes * alpha + (1 - alpha) * behind
    expected = reference.photometric(light, target, 0.2)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=2e-5)
    np.testing.assert_allclose(v_image[:3], leaf.grad.numpy(), atol=2e-3 * leaf.grad.abs().max().item())
    np.testing.assert_allclose(sums.sum(axis=1), logs.grad.numpy(), rtol=1e-3, atol=1e-5)


def test_the_views_keep_their_common_exposure():
    exposure, rng = Exposure(5), np.random.default_rng(1)
    for step in range(50):
        image, v_image = rng.random((4, 8, 9)).astype(np.float32), rng.normal(1, 1, (4, 8, 9)).astype(np.float32)
        exposure.step(step % 4, image, v_image, np.zeros(3), 0.0)
    assert np.abs(exposure.logs).max() > 0.01
    np.testing.assert_allclose(exposure.logs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(exposure.gains(2), np.exp(exposure.logs[2]), rtol=1e-6)


def trainer(folder, blend, seed=0, **changes):
    capture = read_capture(folder)
    settings = TrainSettings(steps=300, seed=seed, splat=replace(FAST, **changes))
    return SplatTrainer(settings, capture, load_views(capture, "train"), blend, 2), load_views(capture, "test")


@pytest.mark.parametrize("blend", ["srgb", "linear"])
def test_photos_of_different_exposures_give_one_model(capture_writer, tmp_path, blend):
    folder = capture_writer(tmp_path / "capture", blend=blend)
    rng = np.random.default_rng(2)
    frames = read_capture(folder).split("train")
    logs = rng.uniform(-0.3, 0.3, (len(frames), 3))
    logs -= logs.mean(axis=0)
    for frame, gain in zip(frames, np.exp(logs), strict=True):
        pixels = np.asarray(Image.open(frame.image)).copy()
        codes = torch.tensor(pixels[..., :3] / 255)
        light = reference.srgb_decode(codes) if blend == "linear" else codes
        light = light * torch.tensor(gain)
        pixels[..., :3] = (reference.srgb_encode(light) if blend == "linear" else light).clamp(0, 1).numpy() * 255 + 0.5
        Image.fromarray(pixels).save(frame.image)
    # One run's gain varies by a decibel with the seed.
    scores = {False: [], True: []}
    for seed in range(3):
        for exposure in (False, True):
            training, test = trainer(folder, blend, seed, exposure=exposure)
            for step in range(500):
                training.step(step / 500)
            scores[exposure].append(score(training, test, blend)["psnr"])
    assert np.mean(scores[True]) > np.mean(scores[False]) + 1, (scores, training.exposure.logs, logs)
    names = [view.name for view in training.views]
    learnt = np.array([training.exposure.logs[names.index(frame.name)] for frame in frames])
    assert np.abs(learnt - logs).mean() < 0.4 * np.abs(logs).mean()


def test_a_checkpoint_keeps_the_gains(small_capture, tmp_path):
    folder = shutil.copytree(small_capture, tmp_path / "capture")
    first, _ = trainer(folder, "srgb", exposure=True)
    for step in range(30):
        first.step(step / 300)
    arrays, facts = first.state()
    second, _ = trainer(folder, "srgb", exposure=True)
    second.load_state({name: array.copy() for name, array in arrays.items()}, facts)
    for step in range(30, 45):
        assert first.step(step / 300) == second.step(step / 300)
    assert np.array_equal(first.exposure.logs, second.exposure.logs) and first.exposure.logs.any()
