# SPDX-License-Identifier: GPL-3.0-or-later
"""A job is started, followed, cancelled, killed and found again; whatever its process does, there is an answer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reconstruct.addon.core import engine_command
from reconstruct.addon.jobs import process
from reconstruct.engine.contract import alive
from reconstruct.engine.contract.errors import UserError

FAKE = Path(__file__).with_name("fake_engine.py")


def start(folder, behavior="good", **options):
    environment = {**engine_command.clean_environment(os.environ), "FAKE_ENGINE": behavior}
    return process.start([sys.executable, FAKE, "train", "capture", "--out", folder], folder, environment=environment, **options)


def until(job, holds, seconds=20.0):
    end = time.monotonic() + seconds
    while not holds(job.state):
        assert time.monotonic() < end, job.state
        job.poll()
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "a result with ümlaut"


def test_follows_to_the_end(folder):
    seen = []
    state = start(folder).wait(lambda state: seen.append(state.step), interval=0.02)
    assert state.status == "done"
    assert (state.step, state.steps, state.count, state.fraction) == (20, 20, 20000, 1.0)
    assert state.loss == pytest.approx(0.05)
    assert state.metrics == {"psnr": 28.5}
    assert state.warnings == ["This is a fake."]
    assert state.preview == (folder / "previews" / "000015.png").resolve()
    assert len({step for step in seen if step}) > 3, "progress came in while the job ran"


def test_starting_does_not_wait(folder):
    begin = time.monotonic()
    job = start(folder, "slow")
    job.poll()
    assert time.monotonic() - begin < 1.0
    assert not job.state.ended
    job.kill()


def test_output_goes_to_the_log(folder):
    start(folder).wait(interval=0.02)
    assert "command: train capture --out" in (folder / "log.txt").read_text(encoding="utf-8")


def test_cancel_lets_the_job_end_itself(folder):
    job = start(folder, "slow")
    until(job, lambda state: state.step)
    job.cancel()
    assert job.wait(interval=0.02).status == "cancelled"
    assert json.loads((folder / "result.json").read_text())["status"] == "cancelled"


def test_an_old_cancel_does_not_stop_the_next_run(folder):
    folder.mkdir()
    (folder / "cancel").touch()
    assert start(folder).wait(interval=0.02).status == "done"


def test_kill_ends_who_does_not_listen(folder):
    job = start(folder, "stubborn")
    until(job, lambda state: state.step)
    job.cancel()
    time.sleep(0.2)
    assert job.is_alive()
    job.kill()
    state = job.wait(interval=0.02)
    assert (state.status, state.message) == ("stopped", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_process_killed_by_others_is_a_failure_with_words(folder):
    job = start(folder, "stubborn")
    until(job, lambda state: state.step)
    os.kill(job.pid, signal.SIGKILL)
    state = job.wait(interval=0.02)
    assert (state.status, state.message) == ("failed", "The job stopped unexpectedly (signal 9).")
    assert "Memory may have run out" in state.hint


def test_a_folder_where_a_job_runs_takes_no_second(folder):
    job = start(folder, "slow")
    until(job, lambda state: state.step)
    with pytest.raises(UserError, match="already runs"):
        start(folder, clear_events=True)
    assert process.attach(folder) is not None
    job.kill()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
def test_kill_ends_who_leads_no_group(folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process.JobProcess(folder, pid=child.pid).kill()
    assert child.wait(timeout=10) != 0


def test_a_process_that_dies_is_a_failure_that_names_the_log(folder):
    state = start(folder, "die").wait(interval=0.02)
    assert state.status == "failed"
    assert "exit code 9" in state.message
    assert "the fake engine dies here" in state.hint
    assert str(folder / "log.txt") in state.hint


def test_a_process_that_never_speaks_is_a_failure(folder):
    state = start(folder, "die_at_once").wait(interval=0.02)
    assert state.status == "failed"
    assert "no room left in this test" in state.hint


def test_last_words_are_those_of_this_run(folder):
    start(folder, "die").wait(interval=0.02)
    job = process.start([sys.executable, "-c", "raise SystemExit(3)"], folder)
    state = job.wait(interval=0.02)
    assert "exit code 3" in state.message
    assert "dies here" not in state.hint


def test_failed_event_gives_message_and_hint(folder):
    state = start(folder, "fail").wait(interval=0.02)
    assert (state.status, state.code) == ("failed", "disk_full")
    assert (state.message, state.hint) == ("The disk is full.", "Free some space, then resume.")


def test_garbage_in_the_events_is_passed_over(folder):
    state = start(folder, "garbage").wait(interval=0.02)
    assert state.status == "done"
    assert state.step == 20


def test_another_major_version_is_refused(folder):
    state = start(folder, "future").wait(interval=0.02)
    assert state.status == "failed"
    assert "version 9.0" in state.message


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "..\\..\\x.png", 5, None])
def test_a_preview_outside_the_folder_is_not_shown(folder, path):
    folder.mkdir()
    job = process.JobProcess(folder, pid=os.getpid())
    (folder / "events.jsonl").write_text(json.dumps({"event": "preview", "path": path}) + "\n")
    job.poll()
    assert job.state.preview is None


def test_a_second_run_follows_the_first(folder):
    start(folder, "fail").wait(interval=0.02)
    first = (folder / "events.jsonl").stat().st_size
    assert start(folder).wait(interval=0.02).status == "done"
    assert (folder / "events.jsonl").stat().st_size > first


def test_anew_forgets_the_first_run(folder):
    start(folder, "fail").wait(interval=0.02)
    assert start(folder, clear_events=True).wait(interval=0.02).status == "done"
    assert '"failed"' not in (folder / "events.jsonl").read_text()


def test_a_running_job_is_found_again(folder):
    first = start(folder, "slow")
    until(first, lambda state: state.step)
    second = process.attach(folder)
    assert second.pid == first.pid
    assert second.state.step
    step = second.state.step
    until(second, lambda state: state.step > step)
    second.cancel()
    assert second.wait(interval=0.02).status == "cancelled"


def test_a_job_goes_on_when_who_started_it_ends(folder):
    script = (
        "import subprocess, sys, os\n"
        f"subprocess.Popen([sys.executable, {str(FAKE)!r}, 'train', 'c', '--out', {str(folder)!r}], stdin=subprocess.DEVNULL,"
        " stdout=subprocess.DEVNULL, start_new_session=True)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "FAKE_ENGINE": "slow"})
    end = time.monotonic() + 20
    while (job := process.attach(folder)) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    job.cancel()
    assert job.wait(interval=0.02).status == "cancelled"


def test_an_ended_job_is_not_found_again(folder):
    start(folder).wait(interval=0.02)
    assert process.attach(folder) is None


def test_a_killed_job_is_not_found_again(folder):
    job = start(folder, "slow")
    until(job, lambda state: state.step)
    job.kill()
    assert process.attach(folder) is None


def test_another_process_with_the_same_id_is_not_the_job(folder):
    folder.mkdir()
    event = {"event": "started", "schema": "1.0", "pid": os.getpid(), "time": time.time() - 90 * 86400}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    assert process.attach(folder) is None


def test_a_later_process_with_the_same_id_is_neither_followed_nor_killed(folder):
    """As after a restart of the machine. The start that the event records counts, even where its time does not tell."""
    folder.mkdir()
    event = {"event": "started", "schema": "1.0", "pid": os.getpid(), "pid_started": time.time() - 90 * 86400, "time": time.time()}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    assert process.attach(folder) is None
    job = process.JobProcess(folder, pid=os.getpid())
    job._started -= 3600
    assert not job.is_alive()
    job.kill()
    assert not alive.writer_runs(folder / "events.jsonl", os.getpid(), event["pid_started"])
    assert alive.writer_runs(folder / "events.jsonl", os.getpid(), 0.0)


@pytest.mark.parametrize("pid", [0, -1, 2**40, "x", None, True, 1e400])
def test_nonsense_ids_are_no_job(folder, pid):
    folder.mkdir()
    (folder / "events.jsonl").write_text(json.dumps({"event": "started", "schema": "1.0", "pid": pid, "time": time.time()}) + "\n")
    assert process.attach(folder) is None


def test_a_missing_program_is_one_sentence(folder):
    with pytest.raises(UserError, match="cannot be started"):
        process.start([folder / "no such python"], folder)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        process.start([sys.executable, "-c", "pass"], tmp_path / "file" / "result")


def test_our_own_start_is_known():
    started = alive.started_at(os.getpid())
    assert time.time() - 3600 < started <= time.time()
    assert alive.is_same(os.getpid(), time.time())
    assert not alive.is_same(os.getpid(), started - 60)


def test_an_uncollected_child_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    end = time.monotonic() + 10
    while alive.is_alive(child.pid):
        assert time.monotonic() < end
        time.sleep(0.02)
    child.wait()
