# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints that were damaged, or made to do harm: each is refused in a sentence or read, for every method."""

import copy
import json
import math

import numpy as np
import pytest
from safetensors.numpy import save

from engine.contract.checkpoints import VoxelFacts
from engine.contract.errors import UserError
from engine.contract.methods import METHODS
from engine.contract.methods.nerf import NerfSettings
from engine.contract.methods.ngp import NgpSettings
from engine.contract.methods.splat import SplatSettings
from engine.contract.settings import TrainSettings
from engine.contract.voxels import VoxelTrainSettings
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.methods import new_trainer
from engine.runs.checkpoint import read_checkpoint, read_progress, restore, write_checkpoint
from engine.voxels import networks
from engine.voxels.trainer import VoxelTrainer

SMALL = {
    "splat": {"splat": SplatSettings(max_gaussians=300, exposure=True)},
    "ngp": {"ngp": NgpSettings(log2_table=12, finest=128, batch=2048, ray_steps=256, cells=32)},
    "nerf": {"nerf": NerfSettings(width=16, depth=1, coarse_samples=8, fine_samples=8, rays=32)},
}
STATES = {name: spec.state for name, spec in METHODS.items()} | {"r2n2": VoxelFacts}
TINY = {"encoder": (4, 4, 6, 6, 6, 8), "features": 12, "decoder": (6, 6, 6, 4, 4)}
WRONG = [None, True, "x", [], {}, [[]], -1, 1.5, 10**30, math.nan, math.inf, [math.nan] * 3, {"state": []}]


def voxel_trainer():
    import torch

    trainer = VoxelTrainer(VoxelTrainSettings(network="gru-3-small"), None, "cpu", False)
    for weights in trainer.network.parameters():
        weights.grad = torch.ones_like(weights)
    for optimizer in trainer.optimizers:
        optimizer.step()
    trainer.steps_done = 1
    return trainer


def trained(method, capture_folder):
    """A trainer after a few steps."""
    capture = read_capture(capture_folder)
    settings = TrainSettings(method=method, **SMALL[method])
    trainer = new_trainer(settings, capture, load_views(capture, "train", scale=0.5), "srgb", 1)
    for step in range(3):
        trainer.step(step / 3)
    return trainer


@pytest.fixture(scope="module", params=["splat", "ngp", "nerf", "r2n2"])
def case(request, small_capture, tmp_path_factory):
    """A method, a trainer of it, and the folder of its checkpoint."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.VARIANTS, "gru-3-small", networks.Variant(False, "gru", 3, **TINY))
        trainer = voxel_trainer() if request.param == "r2n2" else trained(request.param, small_capture)
        write_checkpoint(folder, trainer, 2.5)
        yield request.param, trainer, folder


def written(folder, arrays, facts):
    (folder / "checkpoint.safetensors").write_bytes(save(arrays, {"state": facts if isinstance(facts, str) else json.dumps(facts)}))


def tried(method, trainer, folder):
    """Reads and restores a checkpoint. Returns the refusal, None where it was taken; any other error is the test's."""
    try:
        read_progress(folder)
        restore(trainer, read_checkpoint(folder, STATES[method]))
    except UserError as error:
        assert len(error.message) < 500 and error.hint and error.code in ("damaged", "changed"), error
        return error
    return None


def places(value, way=()):
    """The ways to all values inside a mapping."""
    yield way
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value[:2]):
            yield from places(inner, (*way, key))


def test_what_was_written_is_restored(case):
    method, trainer, folder = case
    saved = read_checkpoint(folder, STATES[method])
    assert saved.progress == read_progress(folder) and saved.progress.seconds == 2.5
    assert saved.progress.step == (1 if method == "r2n2" else 3)
    before = {name: np.array(array) for name, array in trainer.state()[0].items()}
    restore(trainer, saved)
    for name, array in trainer.state()[0].items():
        np.testing.assert_array_equal(np.atleast_1d(array), np.atleast_1d(before[name]), err_msg=name)


def test_facts_of_any_kind_are_checked(case, tmp_path):
    method, trainer, folder = case
    saved = read_checkpoint(folder, STATES[method])
    facts = json.loads(json.dumps({**saved.facts, "seconds": 2.5}))
    required = [key for key in facts if key not in ("center", "radius", "rotation", "frustum")] + ["center"] * (method == "splat")
    for key in required:
        written(tmp_path, saved.arrays, {name: value for name, value in facts.items() if name != key})
        assert tried(method, trainer, tmp_path) is not None, key
    accepted = []
    for way in places(facts):
        for wrong in WRONG:
            changed = {"": copy.deepcopy(facts)}
            inner = changed
            for key in ("", *way)[:-1]:
                inner = inner[key]
            inner[("", *way)[-1]] = wrong
            written(tmp_path, saved.arrays, changed[""])
            if tried(method, trainer, tmp_path) is None:
                accepted.append((way, wrong))
    # Accepted values have the right type, or are the defaults of fields that early versions did not write.
    for way, wrong in accepted:
        if wrong is None:
            assert way[0] in ("center", "radius", "rotation", "frustum")
        elif isinstance(wrong, bool):
            assert way == ("was_reset",)
        else:
            assert isinstance(wrong, (int, float)) and math.isfinite(wrong) or (way, wrong) == (("order",), []), (way, wrong)
            assert wrong != 10**30 or way[-1] in ("state", "inc"), way
            assert wrong != -1 or way[0] == "center", way
    for text in ("", "[" * 50_000, '{"step": ' + "9" * 5_000 + "}", "[]", "null", "3"):
        written(tmp_path, saved.arrays, text)
        assert tried(method, trainer, tmp_path) is not None, text[:20]


def test_arrays_of_any_kind_are_checked(case, tmp_path):
    method, trainer, folder = case
    saved = read_checkpoint(folder, STATES[method])
    facts = {**saved.facts, "seconds": 2.5}
    for name, array in list(saved.arrays.items())[::4] if method == "r2n2" else saved.arrays.items():
        nan = array.copy()
        if nan.dtype.kind == "f":
            nan[...] = np.nan
        other = np.float64 if array.dtype != np.float64 else np.float32
        changes = [None, np.zeros(array.shape, np.int16), np.zeros(array.shape, other), array[None]]
        changes += [array.reshape(-1)[:-1], array.reshape(-1)[:0], nan if nan.dtype.kind == "f" else -1 - array]
        for number, change in enumerate(changes):
            arrays = {key: value for key, value in saved.arrays.items() if key != name}
            written(tmp_path, arrays if change is None else arrays | {name: np.ascontiguousarray(change)}, facts)
            assert tried(method, trainer, tmp_path) is not None, (name, number)


def test_damaged_files_are_refused(case, tmp_path):
    method, trainer, folder = case
    data = (folder / "checkpoint.safetensors").read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        broken = bytearray(data if number % 3 else data[: rng.integers(0, len(data))])
        for place in rng.integers(0, max(min(len(broken), 3_000), 1), 4):
            if len(broken):
                broken[place] = rng.integers(0, 256)
        (tmp_path / "checkpoint.safetensors").write_bytes(broken)
        tried(method, trainer, tmp_path)


def test_one_broken_gaussian_does_not_lose_a_training(small_capture, tmp_path):
    trainer = trained("splat", small_capture)
    write_checkpoint(tmp_path, trainer, 2.5)
    saved = read_checkpoint(tmp_path, METHODS["splat"].state)
    arrays = {name: array.copy() for name, array in saved.arrays.items()}
    arrays["values"][3, 5] = np.nan
    written(tmp_path, arrays, {**saved.facts, "seconds": 2.5})
    assert tried("splat", trainer, tmp_path) is None
    assert len(trainer.gaussians) == arrays["values"].shape[1] - 1 == len(trainer.adc.pulls)
    trainer.step(0.5)
