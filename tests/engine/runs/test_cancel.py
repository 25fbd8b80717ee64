# SPDX-License-Identifier: GPL-3.0-or-later
"""How runs end before their time: by signals, by a closed terminal, by a full disk, by a device that is gone."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine import cli
from engine.contract.errors import UserError
from engine.contract.events import read_new
from engine.contract.result import Result, read_result, replacing
from engine.formats.splats import read_splats
from engine.jobs import train as train_job
from engine.kernels import compiling
from engine.methods.splat import SplatTrainer
from engine.runs import loop
from engine.runs.budget import Budget
from engine.runs.context import run_context
from engine.runs.reporter import Reporter

ROOT = Path(__file__).parents[3]
FEW = ["--splat.max-gaussians", "300"]


def train(capture, out, *more):
    return cli.main(["train", str(capture), "--out", str(out), *FEW, *map(str, more)])


def said(out, kind="warning"):
    return [event.values["message"] for event in read_new(out / "events.jsonl")[0] if event.kind == kind]


def last(out):
    return read_new(out / "events.jsonl")[0][-1]


def raised(*names):
    """Sends signals to this process, one after the other."""
    for name in names:
        os.kill(os.getpid(), getattr(signal, name))


posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@posix
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGINT"])
def test_signals_end_a_training_with_what_was_learned(monkeypatch, small_capture, tmp_path, name):
    step = SplatTrainer.step

    def signalled(self, progress):
        if self.steps_done == 5:
            raised(name)
        return step(self, progress)

    monkeypatch.setattr(SplatTrainer, "step", signalled)
    assert train(small_capture, tmp_path / "r", "--steps", 1000) == 0
    result = read_result(tmp_path / "r")
    assert (result.status, result.step) == ("cancelled", 6) and last(tmp_path / "r").values["cancelled"] is True
    assert (tmp_path / "r" / "splats.ply").is_file() and (tmp_path / "r" / "checkpoint.safetensors").is_file()


@posix
def test_nohup_is_respected(monkeypatch, small_capture, tmp_path):
    step = SplatTrainer.step
    monkeypatch.setattr(SplatTrainer, "step", lambda self, progress: (raised("SIGHUP"), step(self, progress))[1])
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert train(small_capture, tmp_path / "r", "--steps", 5) == 0
    finally:
        signal.signal(signal.SIGHUP, old)
    assert (read_result(tmp_path / "r").status, read_result(tmp_path / "r").step) == ("done", 5)


@posix
def test_a_signal_while_kernels_compile_cancels_and_leaves_nothing(monkeypatch, small_capture, tmp_path, capsys):
    def compile_all(progress):
        progress(0, 40)
        raised("SIGTERM")
        progress(1, 40)

    monkeypatch.setattr(compiling, "is_compiled", lambda: False)
    monkeypatch.setattr(compiling, "compile_all", compile_all)
    (tmp_path / "followed").mkdir()
    (tmp_path / "followed" / "log.txt").touch()
    for out in (tmp_path / "new", tmp_path / "followed"):
        assert train(small_capture, out, "--steps", 5) == 0
        assert "Cancelled before the first step" in capsys.readouterr().out
    assert not (tmp_path / "new").exists() and not (tmp_path / "followed" / "result.json").exists()
    assert last(tmp_path / "followed").kind == "done" and last(tmp_path / "followed").values["cancelled"] is True


@posix
@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_second_signal_leaves_status_and_event_that_agree(monkeypatch, small_capture, tmp_path, capsys, stage):
    def impatient(*_):
        raised("SIGINT", "SIGINT")

    monkeypatch.setattr(*((SplatTrainer, "step") if stage == "train" else (train_job, "score")), impatient)
    assert train(small_capture, tmp_path / "r", "--steps", 5) == 1
    assert "Traceback" not in capsys.readouterr().err
    result = read_result(tmp_path / "r")
    assert result.status == "cancelled" and (last(tmp_path / "r").kind, last(tmp_path / "r").values["cancelled"]) == ("done", True)
    assert (result.artifact("splats") is not None) == (stage == "evaluate")


@posix
def test_a_closed_terminal_ends_a_training_with_a_checkpoint(small_capture, tmp_path):
    """The progress bar and the last line have nowhere to go then."""
    import pty
    import time

    terminal, inner = pty.openpty()
    code = "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from engine.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", str(small_capture), "--out", str(tmp_path / "r"), *FEW, "--steps", "1000000"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=inner, stdout=inner, stderr=inner, start_new_session=True)
    os.close(inner)
    limit = time.time() + 120
    while not any(event.values.get("stage") == "train" for event in read_new(tmp_path / "r" / "events.jsonl")[0]):
        assert process.poll() is None and time.time() < limit
        time.sleep(0.05)
    os.close(terminal)
    process.wait(timeout=60)
    result = read_result(tmp_path / "r")
    assert result.status == "cancelled" and last(tmp_path / "r").kind == "done"
    assert {"splats.ply", "checkpoint.safetensors"} <= {file.name for file in (tmp_path / "r").iterdir()}


@posix
def test_a_disk_that_holds_the_splats_alone_keeps_them(small_capture, tmp_path):
    """A limit on the size of files (RLIMIT_FSIZE) simulates a nearly full disk."""
    out = tmp_path / "r"
    assert train(small_capture, tmp_path / "whole", "--steps", 20) == 0
    splats, checkpoint = ((tmp_path / "whole" / name).stat().st_size for name in ("splats.ply", "checkpoint.safetensors"))
    assert checkpoint > 2 * splats
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({2 * splats}, {2 * splats}))"
    code = f"import sys; from engine.cli import main; {limit}; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", str(small_capture), "--out", str(out), *FEW, "--steps", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert read_result(out).status == "done" and len(read_splats(out / "splats.ply")) > 10
    assert not (out / "checkpoint.safetensors").exists() and not list(out.glob(".*"))
    assert any("checkpoint.safetensors could not be written" in line and "splats.ply was kept" in line for line in said(out)), said(out)


class Trainer:
    """Two artifacts, of which the disk holds one."""

    steps_done, count, blend = 7, None, "srgb"

    def artifacts(self, folder):
        (folder / "field.safetensors").write_bytes(b"field")
        yield "field", "field.safetensors"
        with replacing(folder / "points.ply"):
            raise OSError(errno.ENOSPC, "No space left on device")

    def bounds(self):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def state(self):
        return {"a": np.zeros(3)}, {"step": 7}

    def step(self, progress):
        self.steps_done += 1
        return 0.0


def test_what_fits_is_kept_and_named(tmp_path):
    with pytest.raises(UserError, match="points.ply could not be written.*kept: field.safetensors, checkpoint.safetensors") as full:
        with run_context(tmp_path / "r", Reporter(None, None), new=True) as context:
            context.folder.claim("field.safetensors", "points.ply", "checkpoint.safetensors")
            context.folder.begin(Result("running", "ngp", "", pid=os.getpid()))
            train_job._write_artifacts(context, Trainer(), None, complete=True)
    assert full.value.code == "disk_full"
    result = read_result(tmp_path / "r")
    assert result.status == "failed" and [item.path for item in result.artifacts] == ["field.safetensors"] and result.step == 7
    assert (tmp_path / "r" / "checkpoint.safetensors").is_file()


def test_a_full_disk_does_not_end_a_training(monkeypatch, small_capture, tmp_path):
    def full(*_):
        with replacing(tmp_path / "r" / "checkpoint.safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop, "FIRST_CHECKPOINT", 0.0)
    monkeypatch.setattr(loop, "checkpoint_wait", lambda _: 0.0)
    monkeypatch.setattr(loop, "write_checkpoint", full)
    monkeypatch.setattr(train_job, "write_checkpoint", full)
    assert train(small_capture, tmp_path / "r", "--steps", 30) == 0
    assert read_result(tmp_path / "r").status == "done" and len(said(tmp_path / "r")) == 2, "it is said once, and at the end"


def test_checkpoints_come_after_ten_seconds_and_then_every_minute(monkeypatch, tmp_path):
    clock, trainer, written = SimpleNamespace(seconds=lambda: 0.5 * trainer.steps_done), Trainer(), []
    trainer.steps_done = 0
    monkeypatch.setattr(loop, "write_checkpoint", lambda *_: written.append(clock.seconds()))
    context = SimpleNamespace(path=tmp_path, report=lambda *_, **__: None, cancel=SimpleNamespace(requested=False))
    context.tolerate_full_disk = lambda _: contextlib.nullcontext()
    loop.run_steps(context, trainer, Budget(clock, steps=400), loop.Hooks())
    assert written == pytest.approx([10.5, 71, 131.5, 192], abs=0.6)


def test_a_device_that_is_gone_is_replaced_and_named(small_capture, tmp_path, capsys):
    out = tmp_path / "r"
    assert train(small_capture, out, "--steps", 5) == 0
    table = json.loads((out / "result.json").read_text())
    table["device"] = table["settings"]["device"] = "xpu"
    (out / "result.json").write_text(json.dumps(table, indent=1))
    assert cli.main(["train", "--resume", str(out), "--steps", "8"]) == 0
    assert (read_result(out).device, read_result(out).step) == ("cpu", 8)
    assert any("trained on xpu" in line and "continues on cpu" in line for line in said(out))


def test_scores_say_of_how_many_views_they_are(monkeypatch, small_capture, tmp_path, capsys):
    out = tmp_path / "r"
    monkeypatch.setattr(train_job, "affordable_pixels", lambda *_: 48 * 40)
    assert train(small_capture, out, "--minutes", 0.1) == 0
    assert "on 1 of 2 held-out views" in capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert (len(metrics["views"]), metrics["views_held_out"]) == (1, 2)
    result = read_result(out)
    assert (result.metrics["views"], result.metrics["views_held_out"]) == (1, 2)
    reported = {event.values["name"]: event.values["value"] for event in read_new(out / "events.jsonl")[0] if event.kind == "metric"}
    assert (reported["views"], reported["views_held_out"]) == (1, 2)
    scoring = [event.values["step"] for event in read_new(out / "events.jsonl")[0] if event.values.get("stage") == "evaluate"]
    assert scoring == [0, 1]
    assert cli.main(["eval", str(out)]) == 0
    assert json.loads((out / "metrics.json").read_text())["psnr"] == read_result(out).metrics["psnr"] != result.metrics["psnr"]
    assert read_result(out).metrics["views"] == 2 and read_result(out).status == "done"
