# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians out of view, whose optimizer's steps are put off: nobody may tell."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.cameras import Camera
from engine.kernels import simd
from engine.splats.gaussians import Gaussians
from engine.splats.renderer import Renderer

BLACK = np.zeros(3, np.float32)


def surroundings(count, rng):
    """Gaussians all about the origin, from tiny to larger than the scene, sorted so that neighbors share vectors."""
    f = np.float32
    values = {
        "means": (rng.normal(size=(count, 3)) * rng.uniform(0.2, 5, (count, 1))).astype(f),
        "log_scales": rng.normal(-3, 1, (count, 3)).astype(f),
        "quats": rng.normal(size=(count, 4)).astype(f),
        "opacity_logits": rng.normal(0, 3, count).astype(f),
        "sh0": rng.normal(size=(count, 3)).astype(f),
        "shn": rng.normal(0, 0.2, (count, 8, 3)).astype(f),
    }
    values["log_scales"][:3] = 1.5
    made = Gaussians(values, np.zeros(3))
    made.sort()
    return made


def twin(gaussians):
    """A copy, through what a checkpoint holds; the owed steps of the original are made."""
    made = surroundings(1, np.random.default_rng(0))
    made.load_state({name: array.copy() for name, array in gaussians.state().items()}, gaussians.time)
    return made


def anywhere(rng):
    """A camera near the origin that looks anywhere, through a narrow, shifted or wide lens."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix(), rng.normal(size=3)
    focal = rng.uniform(20, 150)
    return Camera(48, 40, focal, focal * rng.uniform(0.8, 1.2), rng.uniform(0, 48), rng.uniform(0, 40), pose)


def train(gaussians, steps, seed, settled):
    """Steps along random gradients on random views, with rates that throw gaussians about. Returns how many vectors owed a step."""
    rng, renderer, owed = np.random.default_rng(seed), Renderer(2), 0
    rates = np.geomspace(0.002, 0.3, len(gaussians.table)).astype(np.float32)
    for _ in range(steps):
        image = renderer.render(gaussians, anywhere(rng), BLACK, degree=2, antialias=False, near=0.02)
        renderer.backward(rng.normal(size=image.shape).astype(np.float32))
        renderer.step(gaussians, rates * rng.uniform(0.5, 1), gaussians.time + 1)
        owed += int((gaussians.done < gaussians.time).sum())
        if settled:
            gaussians.settle()
    return owed


@pytest.mark.parametrize("seed", range(3))
def test_steps_put_off_change_no_bit(seed):
    """Longer than steps are kept for, so that some are owed until they must be made."""
    late = surroundings(400, np.random.default_rng(seed))
    prompt = twin(late)
    assert train(late, 170, seed, settled=False) > 20 * 170 / simd.WIDTH
    train(prompt, 170, seed, settled=True)
    for name, array in late.state().items():
        np.testing.assert_array_equal(array, prompt.state()[name], err_msg=name)


@pytest.mark.parametrize(
    "read",
    [
        lambda made: made.values["means"],
        lambda made: made.rows(np.arange(50))["shn"],
        lambda made: made.splats("srgb", False).sh,
        lambda made: (made.keep(np.arange(5, 50)), made.table)[1],
        lambda made: (made.forget("means"), made.table)[1],
        lambda made: made.state()["second"],
    ],
)
def test_what_is_read_is_up_to_date(read):
    late = surroundings(200, np.random.default_rng(7))
    prompt = twin(late)
    train(late, 20, 7, settled=False), train(prompt, 20, 7, settled=True)
    assert not (late.table == prompt.table).all()
    np.testing.assert_array_equal(read(late), read(prompt))


def test_training_goes_on_alike_from_a_checkpoint():
    whole = surroundings(200, np.random.default_rng(3))
    train(whole, 30, 3, settled=False)
    again = twin(whole)
    train(whole, 30, 5, settled=False), train(again, 30, 5, settled=False)
    np.testing.assert_array_equal(whole.values["means"], again.values["means"])
