# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a result, taken by processes at the same moment."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.contract.errors import UserError
from engine.runs.lock import LOCK, locked

ROOT = Path(__file__).parents[3]
# Waits for the common moment, so that all processes try at once, then holds the lock until its standard input ends.
TAKE = """
import sys, time
from pathlib import Path
from engine.contract.errors import UserError
from engine.runs.lock import locked
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
try:
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except UserError as error:
    print(error.code, flush=True)
"""


def take(folder, moment=0.0):
    command = [sys.executable, "-c", TAKE, str(folder), str(moment)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("left", [None, '{"pid": 999999999, "created": 1.0}'])
def test_one_of_many_processes_gets_it(tmp_path, left):
    if left is not None:
        (tmp_path / LOCK).write_text(left)
    moment = time.time() + 1.0
    processes = [take(tmp_path, moment) for _ in range(6)]
    assert sorted(process.stdout.readline().strip() for process in processes) == ["held", *["in_use"] * 5]
    for process in processes:
        process.communicate()
    with locked(tmp_path):
        pass


def test_a_killed_process_holds_nothing(tmp_path):
    process = take(tmp_path)
    assert process.stdout.readline().strip() == "held"
    with pytest.raises(UserError) as refused, locked(tmp_path):
        pass
    assert refused.value.code == "in_use"
    process.kill()
    process.communicate()
    with locked(tmp_path):
        pass
