# SPDX-License-Identifier: GPL-3.0-or-later
"""Step 3: a proxy is made from the panel and by a job, and who cannot have one is told why."""

import json
import sys
import time

import bpy
import pytest
from reconstruct.addon import batch
from reconstruct.addon.jobs import process, running, stages
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.job import job_from_mapping
from reconstruct.engine.contract.settings import ProxySettings

root = sys.modules["reconstruct"]


@pytest.fixture
def result(tmp_path, fake_engine):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    folder = tmp_path / "result"
    folder.mkdir()
    values = {"schema": "1.0", "status": "done", "method": "splat", "capture": "capture", "metrics": {}}
    (folder / "result.json").write_text(json.dumps(values), encoding="utf-8")
    bpy.context.scene.reconstruct.import_.result = str(folder)
    yield folder
    root.unregister()


def test_a_proxy_is_made(result):
    (result / "events.jsonl").write_text('{"event": "done", "time": 1.0, "seconds": 1.0}\n')
    assert bpy.ops.reconstruct.make_proxy() == {"FINISHED"}
    assert (result / "proxy.glb").is_file() and (result / "log.txt").read_text().splitlines()[-1] == f"command: proxy {result}"
    assert (result / "events.jsonl").read_text().count("done") == 2, "what training said stays"


def test_one_left_running_is_found_by_the_next_blender_and_cancelled_there(result, fake_engine):
    fake_engine("slow")
    stages.start_proxy(result, ProxySettings())
    while process.attach(result) is None:
        time.sleep(0.05)
    running.find_running(bpy.context.scene)
    shown = bpy.context.window_manager.reconstruct
    assert (shown.kind, shown.status, shown.stage) == ("proxy", "running", "bake")
    # The folder of a training may be the same one.
    bpy.context.scene.reconstruct.train.out = str(result)
    running.find_running(bpy.context.scene)
    assert shown.kind == "proxy" and not bpy.ops.reconstruct.make_proxy.poll()
    bpy.ops.reconstruct.cancel()
    end = time.monotonic() + 20
    while shown.status == "running" and time.monotonic() < end:
        running._tick()
        time.sleep(0.02)
    assert shown.status == "cancelled" and not (result / "proxy.glb").exists() and bpy.ops.reconstruct.make_proxy.poll()


def test_why_there_is_none(result, fake_engine):
    fake_engine("fail")
    with pytest.raises(RuntimeError, match="The capture is not there any more. Put it back there"):
        bpy.ops.reconstruct.make_proxy()
    values = json.loads((result / "result.json").read_text())
    (result / "result.json").write_text(json.dumps({**values, "method": "r2n2", "images": ["a.png"]}))
    assert not bpy.ops.reconstruct.make_proxy.poll()
    (result / "result.json").unlink()
    assert not bpy.ops.reconstruct.make_proxy.poll()


def test_a_job_makes_one(result, capsys):
    job = job_from_mapping({"proxy": {"result": "result", "faces": 800}}, result.parent)
    assert batch.run(job) == [result / "proxy.glb"]
    assert (result / "log.txt").read_text().splitlines()[-1] == f"command: proxy {result} --faces 800"
    assert f"proxy    {result / 'proxy.glb'}" in capsys.readouterr().out
    with pytest.raises(UserError, match="no result to stand for"):
        batch.run(job_from_mapping({"proxy": {}}, result.parent))
    with pytest.raises(UserError, match="none"):
        batch.run(job_from_mapping({"proxy": {"result": "none"}}, result.parent))
    assert running.current() is None
