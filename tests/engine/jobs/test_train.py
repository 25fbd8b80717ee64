# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole training runs as a user starts them: in a process of their own, on a small capture with known truth."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import cli
from engine.contract.events import read_new
from engine.contract.result import read_result
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.formats.splats import read_splats
from engine.methods import load_model
from engine.methods.splat import SplatModel
from engine.runs.lock import locked
from engine.runs.scoring import score
from engine.splats.gaussians import Gaussians

ROOT = Path(__file__).parents[3]
FAST = ["--splat.refine-start", "40", "--splat.refine-every", "20", "--splat.max-gaussians", "300"]


def engine(*arguments, wait=True, **options):
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, **pipes, **options)
    if not wait:
        return process
    out, error = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, out, error)


def train(capture, out, *more, **options):
    return engine("train", capture, "--out", out, *FAST, *more, **options)


def follow(process, file, wanted):
    """Waits for an event that satisfies ``wanted``."""
    offset, limit = 0, time.time() + 120
    while time.time() < limit:
        events, offset = read_new(file, offset)
        for event in events:
            if wanted(event):
                return event
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("the event never came")


@pytest.fixture(scope="module")
def trained(small_capture, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "result"
    done = train(small_capture, out, "--steps", 400)
    assert done.returncode == 0, done.stderr
    return out


def test_training_learns_the_scene_and_lists_what_it_made(trained, small_capture):
    result = read_result(trained)
    assert result.status == "done" and result.step == 400 and result.blend == "srgb" and result.capture == str(small_capture)
    assert result.metrics["psnr"] > 22, result.metrics
    assert result.up == (0, 0, 1)
    assert {item.kind for item in result.artifacts} == {"splats", "metrics"}
    low, high = np.array(result.bounds)
    assert (low > -1.2).all() and (high < 1.2).all() and (high - low > 0.5).all()
    steps = [event.values["step"] for event in read_new(trained / "events.jsonl")[0] if event.values.get("stage") == "train"]
    assert steps[-1] == 400, "the last line of progress is that of the last step"
    kinds = [event.kind for event in read_new(trained / "events.jsonl")[0]]
    assert kinds[0] == "started" and kinds[-1] == "done" and "progress" in kinds
    started = read_new(trained / "events.jsonl")[0][0]
    assert started.values["pid"] == result.pid and started.values["pid_started"] == result.pid_started
    assert started.time - 60 < result.pid_started < started.time, "a process of the same id that started later is another one"
    assert not list(trained.glob(".*"))


def test_eval_and_render_see_what_training_saw(trained, tmp_path):
    scores = json.loads((trained / "metrics.json").read_text())
    done = engine("eval", trained)
    assert done.returncode == 0 and "PSNR" in done.stdout
    again = json.loads((trained / "metrics.json").read_text())
    assert again["psnr"] == pytest.approx(scores["psnr"], abs=0.02) and len(again["views"]) == 2
    done = engine("eval", trained, "--split", "train")
    assert done.returncode == 0 and "10 train views" in done.stdout
    assert json.loads((trained / "metrics.json").read_text()) == again, "scores of training views do not take the place of those that count"
    done = engine("render", trained, "--out", tmp_path / "pictures")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["000.png", "008.png"]


def test_views_of_a_limited_size_are_trained_scored_and_rendered_alike(small_capture, tmp_path):
    out = tmp_path / "result"
    arguments = ["train", str(small_capture), "--out", str(out), "--steps", "3", "--max-side", "24", *FAST]
    assert cli.main(arguments) == 0

    def sizes():
        return {(row["width"], row["height"]) for row in json.loads((out / "metrics.json").read_text())["views"]}

    assert sizes() == {(24, 20)}
    notes = [event.values["message"] for event in read_new(out / "events.jsonl")[0] if event.kind == "note"]
    assert any("12 of 12 views are scaled down to 24 pixels" in note for note in notes)
    assert cli.main(["eval", str(out)]) == 0 and sizes() == {(24, 20)}
    assert cli.main(["render", str(out), "--out", str(tmp_path / "images")]) == 0
    assert Image.open(tmp_path / "images" / "000.png").size == (24, 20)
    # Results that do not say were trained on views of any size.
    values = json.loads((out / "result.json").read_text())
    del values["settings"]["max_side"]
    (out / "result.json").write_text(json.dumps(values, indent=1))
    assert cli.main(["eval", str(out)]) == 0 and sizes() == {(48, 40)}
    assert cli.main(["train", "--resume", str(out), "--steps", "4"]) == 0 and sizes() == {(48, 40)}


def test_a_kill_and_a_resume_change_no_byte(small_capture, tmp_path):
    whole = tmp_path / "whole"
    assert train(small_capture, whole, "--steps", 200).returncode == 0
    again = tmp_path / "again"
    assert train(small_capture, again, "--steps", 200).returncode == 0
    assert (again / "splats.ply").read_bytes() == (whole / "splats.ply").read_bytes()

    killed = tmp_path / "killed"
    # The run ends itself as by kill -9 right after step 100, the checkpoint of step 99 or before being the last whole one.
    code = """
import os, signal, sys
from engine.runs import checkpoint, loop
from engine.methods.splat import SplatTrainer
loop.FIRST_CHECKPOINT, checkpoint._EVERY, checkpoint._SHARE = 0.0, 0.0, 1e9
step = SplatTrainer.step
def deadly(self, progress):
    loss = step(self, progress)
    if self.steps_done == 100:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return loss
SplatTrainer.step = deadly
from engine.cli import main
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", code, "train", str(small_capture), "--out", str(killed), "--steps", "200", *FAST]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120).returncode != 0
    assert (killed / "checkpoint.safetensors").exists() and not (killed / "splats.ply").exists()
    assert read_result(killed).status == "running"
    done = engine("train", "--resume", killed)
    assert done.returncode == 0, done.stderr
    assert "from the beginning" not in done.stderr
    assert (killed / "splats.ply").read_bytes() == (whole / "splats.ply").read_bytes()


@pytest.mark.parametrize("way", ["file", "signal"])
def test_cancel_keeps_what_was_trained_and_can_be_resumed(small_capture, tmp_path, way):
    out = tmp_path / "result"
    process = train(small_capture, out, "--steps", 100_000, wait=False)
    follow(process, out / "events.jsonl", lambda event: event.values.get("stage") == "train")
    if way == "file":
        (out / "cancel").touch()
    else:
        process.send_signal(signal.SIGTERM if sys.platform != "win32" else signal.CTRL_BREAK_EVENT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    result = read_result(out)
    assert result.status == "cancelled" and result.step > 0
    assert len(read_splats(out / result.artifact("splats"))) > 10
    assert read_new(out / "events.jsonl")[0][-1].values["cancelled"] is True
    assert not (out / "cancel").exists()
    done = engine("train", "--resume", out, "--steps", result.step + 5)
    assert done.returncode == 0, done.stderr
    assert read_result(out).step == result.step + 5


def test_minutes_bound_the_whole_run(small_capture, tmp_path):
    before = time.time()
    done = train(small_capture, tmp_path / "result", "--minutes", "0.3")
    seconds = time.time() - before
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "result")
    assert result.status == "done" and "psnr" in result.metrics
    assert seconds < 0.3 * 60 + 6, "the end of the process is not part of the budget, but it is not long"


def test_events_are_all_that_stdout_carries(small_capture, tmp_path):
    done = train(small_capture, tmp_path / "result", "--steps", 5, "--events")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["event"] == "started" and lines[0]["schema"] == "1.0" and lines[-1]["event"] == "done"


def test_linear_captures_far_from_the_origin(tmp_path, capture_writer):
    capture = capture_writer(tmp_path / "far", blend="linear", center=(5000.0, -3000.0, 20.0))
    done = train(capture, tmp_path / "result", "--steps", 400)
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "result")
    assert result.blend == "linear" and result.antialias and result.scale == "metric"
    assert result.metrics["psnr"] > 22
    assert abs(result.bounds[0][0] - 5000) < 2 and abs(result.bounds[0][1] + 3000) < 2
    check_both_color_spaces(tmp_path / "result", capture)


def check_both_color_spaces(folder, capture):
    """A linear training leaves its own splats, and splats.ply that other viewers, which blend in sRGB, show alike."""
    result = read_result(folder)
    assert result.artifact("splats") == "splats.ply" and result.artifact("splats_linear") == "splats_linear.ply"
    linear, published = read_splats(folder / "splats_linear.ply"), read_splats(folder / "splats.ply")
    assert linear.blend == "linear" and published.blend == "srgb"
    np.testing.assert_array_equal(linear.means, published.means)
    # The engine itself, as Blender's import, reads what was trained.
    model = load_model(folder, result, 1)
    assert model.blend == "linear"
    np.testing.assert_array_equal(model.gaussians.values["sh0"], linear.sh[:, 0])
    # A viewer that composites sRGB values, in which soft blobs mix differently: no refit of colors undoes that.
    viewer = SplatModel(Gaussians.from_splats(published), "srgb", result.antialias, published.degree, result.near, 1)
    unconverted = SplatModel(Gaussians.from_splats(linear), "srgb", result.antialias, linear.degree, result.near, 1)
    views = load_views(read_capture(capture), "test")
    trained, shown, wrong = (score(each, views, each.blend, lambda *_: None)["psnr"] for each in (model, viewer, unconverted))
    assert shown > trained - 5 and shown > wrong + 5, (trained, shown, wrong)


def test_what_is_there_is_not_overwritten(trained, small_capture, tmp_path):
    before = (trained / "splats.ply").read_bytes()
    done = train(small_capture, trained, "--steps", 5)
    assert done.returncode == 1 and "--resume" in done.stderr and "--overwrite" in done.stderr
    assert (trained / "splats.ply").read_bytes() == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    done = train(small_capture, foreign, "--steps", 5, "--overwrite")
    assert done.returncode == 1 and (foreign / "thesis.txt").exists()


def test_a_refused_resume_changes_nothing(trained):
    before = (trained / "result.json").read_bytes()
    done = engine("train", "--resume", trained, "--steps", 10)
    assert done.returncode == 1 and "400 steps already" in done.stderr
    assert (trained / "result.json").read_bytes() == before


def test_a_cancel_that_is_early_ends_the_run(small_capture, tmp_path):
    """The file may be there before the engine has made its folder its own."""
    out = tmp_path / "result"
    process = train(small_capture, out, "--steps", 100_000, wait=False)
    out.mkdir()
    (out / "cancel").touch()
    process.communicate(timeout=120)
    assert process.returncode == 0 and not (out / "result.json").exists(), "nothing was trained"
    assert read_new(out / "events.jsonl")[0][-1].values["cancelled"] is True


def test_a_result_in_use_is_refused_untouched(trained, small_capture):
    with locked(trained):
        for arguments in (["train", "--resume", trained, "--steps", 500], ["train", small_capture, "--out", trained, "--overwrite"]):
            done = engine(*arguments)
            assert done.returncode == 1 and "in use" in done.stderr
    assert read_result(trained).status == "done" and (trained / "splats.ply").exists()


def test_a_full_disk_is_one_sentence(monkeypatch, tmp_path):
    import errno

    from engine.contract.errors import UserError
    from engine.runs.checkpoint import write_checkpoint

    class Trainer:
        def state(self):
            return {"a": np.zeros(3)}, {}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    (tmp_path / "checkpoint.safetensors").write_text("the last whole one")
    with pytest.raises(UserError, match="disk is full"):
        write_checkpoint(tmp_path, Trainer(), 0.0)
    assert (tmp_path / "checkpoint.safetensors").read_text() == "the last whole one"
    assert len(list(tmp_path.iterdir())) == 1
