# SPDX-License-Identifier: GPL-3.0-or-later
"""From the command line to weights: data is made, training stops and goes on, and what is wrong is said in a sentence."""

import json

import pytest
import torch

from engine import cli
from engine.contract.events import read_new
from engine.contract.result import CANCEL, read_result
from engine.voxels import networks
from engine.voxels.trainer import VoxelTrainer
from engine.voxels.weights import read_weights

TINY = {"encoder": (4, 4, 6, 6, 6, 8), "features": 12, "decoder": (6, 6, 6, 4, 4)}


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setitem(networks.VARIANTS, "lstm-1-small", networks.Variant(False, "lstm", 1, **TINY))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voxels") / "data"
    assert cli.main(["voxels", "make-data", "--furniture", "4", "--views", "2", "--out", str(folder)]) == 0
    return folder


def train(*arguments):
    return cli.main(["voxels", "train", *map(str, arguments)])


def test_training_and_going_on(tmp_path, data):
    flags = ("--network", "lstm-1-small", "--batch", "2")
    assert train(data, "--out", tmp_path / "r", "--steps", 3, *flags) == 0
    result = read_result(tmp_path / "r")
    assert (result.status, result.method, result.step) == ("done", "r2n2", 3)
    assert result.artifact("weights") == "weights.safetensors" and set(result.metrics) == {"iou_1"}, "its pieces have two pictures"
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics["shapes"] == len(metrics["each"]) == len(list((data / "test").glob("*/*/model.binvox")))
    assert read_weights(tmp_path / "r" / "weights.safetensors")[1]["steps"] == 3
    kinds = [event.kind for event in read_new(tmp_path / "r" / "events.jsonl")[0]]
    assert kinds[0] == "started" and kinds[-1] == "done" and "metric" in kinds and "artifact" in kinds
    # Finished; then further, to the same place as in one go.
    assert train("--resume", tmp_path / "r") != 0
    assert train("--resume", tmp_path / "r", "--steps", 5) == 0
    assert train(data, "--out", tmp_path / "straight", "--steps", 5, *flags) == 0
    assert (tmp_path / "r" / "weights.safetensors").read_bytes()[-4096:] == (tmp_path / "straight" / "weights.safetensors").read_bytes()[
        -4096:
    ]
    assert read_result(tmp_path / "r").step == 5
    assert train(data, "--out", tmp_path / "r", "--steps", 1, *flags) == 1
    assert train(data, "--out", tmp_path / "r", "--steps", 1, "--overwrite", *flags) == 0


def test_starting_from_weights(tmp_path, data, capsys):
    flags = ("--network", "lstm-1-small", "--batch", "2")
    assert train(data, "--out", tmp_path / "a", "--steps", 2, *flags) == 0
    assert train(data, "--out", tmp_path / "b", "--steps", 1, "--learning-rate", "0", "--start", tmp_path / "a", *flags) == 0
    a, b = (read_weights(tmp_path / name)[0].state_dict() for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a), "without a rate nothing changes"
    assert read_weights(tmp_path / "b")[1]["settings"]["start"] == "a", "weights are given away without the folders of who made them"
    (tmp_path / "b" / "checkpoint.safetensors").unlink()
    (tmp_path / "a" / "weights.safetensors").unlink()
    capsys.readouterr()
    assert train(data, "--out", tmp_path / "c", "--steps", 1, "--start", tmp_path / "a", *flags) == 1
    assert "no weights" in capsys.readouterr().err
    assert train(data, "--out", tmp_path / "d", "--steps", 1, "--start", tmp_path / "b", "--network", "simple") == 1
    assert "lstm-1-small, not of simple" in capsys.readouterr().err
    assert not (tmp_path / "c").exists() and not (tmp_path / "d").exists()


def test_cancelling(tmp_path, data):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / CANCEL).touch()
    assert train(data, "--out", tmp_path / "r", "--minutes", 5, "--network", "lstm-1-small", "--batch", "2") == 0
    assert not (tmp_path / "r" / "result.json").exists(), "nothing was trained"
    assert read_new(tmp_path / "r" / "events.jsonl")[0][-1].values["cancelled"] and not (tmp_path / "r" / CANCEL).exists()


def test_cancelling_the_last_scores_leaves_no_old_ones(tmp_path, data, monkeypatch):
    flags = ("--network", "lstm-1-small", "--batch", "2")
    assert train(data, "--out", tmp_path / "r", "--steps", 1, *flags) == 0
    assert (tmp_path / "r" / "metrics.json").is_file()
    score = VoxelTrainer.score

    def asked_to_end(self, shapes, views, progress):
        (tmp_path / "r" / CANCEL).touch()
        return score(self, shapes, views, progress)

    monkeypatch.setattr(VoxelTrainer, "score", asked_to_end)
    assert train("--resume", tmp_path / "r", "--steps", 2) == 0
    result = read_result(tmp_path / "r")
    assert (result.status, result.step, result.metrics) == ("cancelled", 2, {}) and result.artifact("weights")
    assert not (tmp_path / "r" / "metrics.json").exists()
    monkeypatch.undo()
    monkeypatch.setitem(networks.VARIANTS, "lstm-1-small", networks.Variant(False, "lstm", 1, **TINY))
    assert train("--resume", tmp_path / "r") == 0 and read_result(tmp_path / "r").metrics


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["voxels", "make-data"], 2, "--out"),
        (["voxels", "make-data", "--out", "d"], 2, "nothing"),
        (["voxels", "make-data", "none", "--out", "d"], 2, "none"),
        (["voxels", "make-data", "--out", "d", "--views", "0"], 2, "views"),
        (["voxels", "train"], 2, "DATA"),
        (["voxels", "train", "none", "--out", "r"], 1, "none"),
        (["voxels", "train", ".", "--out", "r", "--network", "big"], 2, "network"),
        (["voxels", "train", ".", "--out", "r", "--minutes", "1", "--steps", "2"], 2, "either"),
        (["voxels", "train", "--resume", "none"], 1, "none"),
        (["voxels", "train", "--resume", "none", "--batch", "3"], 2, "settings"),
        (["voxels", "tran"], 2, "voxels"),
    ],
)
def test_bad_arguments(capsys, monkeypatch, tmp_path, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    got = cli.main(arguments)
    said = capsys.readouterr().err
    assert got == code and words in said and "Traceback" not in said, said
    assert not list(tmp_path.iterdir())


def test_no_data_fails_and_says_so(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    assert train(tmp_path / "empty", "--out", tmp_path / "r", "--steps", 1) == 1
    assert "no shapes" in capsys.readouterr().err and not (tmp_path / "r").exists()
    # A program that follows has its log there.
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "log.txt").touch()
    assert train(tmp_path / "empty", "--out", tmp_path / "r", "--steps", 1) == 1
    assert read_new(tmp_path / "r" / "events.jsonl")[0][-1].kind == "failed"
