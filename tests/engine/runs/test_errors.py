# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in words: a lack of memory is said as that, wherever it comes from."""

import pytest
import torch
from safetensors import SafetensorError

from engine.contract.errors import UserError
from engine.contract.result import Result
from engine.contract.settings import TrainSettings, trained_settings
from engine.contract.voxels import VoxelTrainSettings
from engine.data.checkpoint_arrays import reason
from engine.methods import load_model
from engine.runs.errors import explain


def test_a_lack_of_memory_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as lacking:
        torch.empty(1 << 50)
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), lacking.value):
        assert explain(error).code == "out_of_memory"
    assert explain(RuntimeError("size mismatch")).code == "internal"


@pytest.mark.parametrize("method", ["ngp", "nerf"])
def test_a_field_that_does_not_fit_in_memory_is_not_called_damaged(tmp_path, monkeypatch, method):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("engine.methods.field_trainer.safe_open", full)
    with pytest.raises(torch.OutOfMemoryError):
        load_model(tmp_path, Result("done", method, "").with_artifact("field", "field.safetensors"), 1)


@pytest.mark.parametrize(
    ("method", "kind", "path"),
    [("splat", "splats", "splats.ply"), ("ngp", "field", "field.safetensors"), ("nerf", "field", "field.safetensors")],
)
def test_a_damaged_file_of_a_result_comes_back_by_resuming(tmp_path, method, kind, path):
    (tmp_path / path).write_bytes(b"damaged")
    with pytest.raises(UserError, match=f"{path}.*Resume its training"):
        load_model(tmp_path, Result("done", method, "").with_artifact(kind, path), 1)


@pytest.mark.parametrize("kind", [TrainSettings, VoxelTrainSettings])
def test_settings_of_a_result_that_are_not_known_name_its_file(tmp_path, kind):
    assert trained_settings({"steps": 5}, tmp_path, kind).steps == 5
    with pytest.raises(UserError, match=r"result\.json is not understood: settings has no setting named 'stepz'"):
        trained_settings({"stepz": 5}, tmp_path, kind)


def test_reasons_of_damage_are_in_our_words():
    assert reason(SafetensorError("Error while deserializing header: invalid JSON")) == "its header does not fit its content"
    assert reason(KeyError("network")) == "it lacks 'network'"
    assert reason(TypeError("unhashable type: 'list'")) == "a value in it is of the wrong kind"
    assert reason(ValueError("its box is none.\nmore")) == "its box is none"
