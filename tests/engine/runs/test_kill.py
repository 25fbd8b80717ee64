# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at any moment: resuming or a second try succeeds, and nothing of the user's differs."""

import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import cli
from engine.contract.errors import UserError
from engine.contract.events import read_new
from engine.contract.result import read_result
from engine.runs.checkpoint import read_progress

ROOT = Path(__file__).parents[3]
FEW = ["--splat.max-gaussians", "300", "--steps", "150"]
MINE = {"scene.blend": b"BLENDER", "job.toml": b"[train]", "photos/000.png": b"photo", "mesh.glb": b"mine", "previews/mine.png": b"mine"}


# Checkpoints are written all the time, so that kills meet them.
CODE = """
import sys
from engine.runs import checkpoint, loop
loop.FIRST_CHECKPOINT = checkpoint._EVERY = 0.0
checkpoint._SHARE = 1e9
from engine.cli import main
sys.exit(main(sys.argv[1:]))
"""


def engine(*arguments):
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(*arguments):
    assert cli.main([str(argument) for argument in arguments]) == 0


def mine(folder):
    for name, content in MINE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def hashes(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in MINE}


def killed(process, folder, moment):
    """Kills a process so many seconds after its first event."""
    limit = time.time() + 120
    while process.poll() is None and not read_new(folder / "events.jsonl")[0]:
        assert time.time() < limit
        time.sleep(0.005)
    time.sleep(moment)
    process.kill()
    process.communicate()


def kill_trainings(capture, folder, moments):
    for number, moment in enumerate(moments):
        out = folder / str(number)
        killed(engine("train", capture, "--out", out, *FEW), out, moment)
        mine(out)
        before = hashes(out)
        try:
            known = read_result(out)
        except UserError as error:
            assert error.code == "no_result"
            known = None
        if known is None:
            # The files of the user came into the folder after the kill: a new try must not take it for its own.
            assert cli.main(["train", str(capture), "--out", str(out), *FEW]) == 1
            for name in MINE:
                (out / name).unlink()
            for part in ("photos", "previews"):
                if not any((out / part).iterdir()):
                    (out / part).rmdir()
            finished("train", capture, "--out", out, *FEW)
            mine(out)
        elif known.status != "done":
            saved = read_progress(out)
            finished("train", "--resume", out)
            said = [event.values["message"] for event in read_new(out / "events.jsonl")[0] if event.kind == "warning"]
            assert any("from the beginning" in line for line in said) == (saved is None)
        assert hashes(out) == before
        result = read_result(out)
        assert (result.status, result.step) == ("done", 150) and result.artifact("splats") and "psnr" in result.metrics
        assert not list(out.glob(".*")) and not list((out / "previews").glob(".*"))
        finished("train", capture, "--out", out, *FEW, "--overwrite")
        assert hashes(out) == before
        shutil.rmtree(out)


def test_trainings_survive_three_kills(small_capture, tmp_path):
    kill_trainings(small_capture, tmp_path, [0.02, 0.2, 0.5])


@pytest.mark.slow
def test_trainings_survive_twenty_kills(small_capture, tmp_path):
    kill_trainings(small_capture, tmp_path, [random.uniform(0, 1.2) for _ in range(20)])


@pytest.fixture(scope="module")
def trained(small_capture, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "result"
    finished("train", small_capture, "--out", out, "--splat.max-gaussians", "2000", "--steps", "400")
    return out


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_proxies_survive_twenty_kills(trained, tmp_path, part):
    """In four parts, as each kill takes two runs."""
    proxy = ["--faces", 300, "--texture", 128]
    begin = time.time()
    finished("proxy", shutil.copytree(trained, tmp_path / "whole"), *proxy)
    seconds = time.time() - begin
    for number in range(5):
        out = shutil.copytree(trained, tmp_path / str(number))
        (out / "events.jsonl").unlink()
        for name in ("scene.blend", "job.toml"):
            (out / name).write_bytes(MINE[name])
        killed(engine("proxy", out, *proxy), out, random.uniform(0, seconds))
        assert read_result(out).status == "done"
        finished("proxy", out, *proxy)
        result = read_result(out)
        assert result.status == "done" and result.artifact("proxy") and result.artifact("splats") and (out / "proxy.glb").is_file()
        assert all((out / name).read_bytes() == MINE[name] for name in ("scene.blend", "job.toml"))
        assert not list(out.glob(".*"))
        shutil.rmtree(out)
