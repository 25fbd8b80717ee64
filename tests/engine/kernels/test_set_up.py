# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way into the engine sets Numba up before Numba is loaded."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("door", ["cli", "jobs.train", "bench", "jobs.doctor", "methods.splat", "splats.renderer", "kernels.adam.cpu"])
def test_compiled_code_goes_to_the_users_cache(door):
    code = f"""
import importlib, os
importlib.import_module("engine.{door}")
from engine.kernels.project import cpu
from engine.kernels import CACHE
assert cpu.forward._cache.cache_path.startswith(str(CACHE)), cpu.forward._cache.cache_path
from numba import config
assert config.CPU_FEATURES == os.environ["NUMBA_CPU_FEATURES"]
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_copy_of_the_same_kernels_shares_what_was_compiled(tmp_path):
    """A second checkout, the installed extension and an update that leaves the kernels alone do not compile again."""
    code = """
from engine.kernels import CACHE
from engine.kernels.noise import cpu
print(CACHE, cpu.shake._cache.cache_path)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")}

    def cache_of(name: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / name, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for name in ("one", "two", "changed"):
        shutil.copytree(ROOT / "engine", tmp_path / name / "engine", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    with open(tmp_path / "changed" / "engine" / "kernels" / "noise" / "cpu.py", "a", encoding="utf-8") as source:
        source.write("# A change.\n")
    os.utime(tmp_path / "two" / "engine" / "kernels" / "noise" / "cpu.py", (1, 1))
    assert cache_of("one") == cache_of("two") != cache_of("changed")


def test_numba_before_the_kernels_is_refused():
    done = subprocess.run([sys.executable, "-c", "import numba, engine.kernels"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and "before numba" in done.stderr


def test_compilation_leaves_no_kernel_in_the_process():
    """What this process had compiled itself would round differently from what every later one reads from the cache."""
    code = """
import sys
from engine.kernels import compiling
said = []
compiling.compile_all(lambda *parts: said.append(parts))
assert said[-1][0] == said[-1][1] and said == sorted(said) and compiling.is_compiled()
assert not [name for name in sys.modules if name.startswith("engine.kernels.") and name.endswith(".cpu")]
class Cancelled(Exception): pass
def cancel(done, steps): raise Cancelled
try: compiling.compile_all(cancel)
except Cancelled: print("cancelled")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "cancelled", done.stderr


CANCELLED = """
import os, signal, sys
from engine.kernels import compiling
class Cancelled(Exception): pass
asked = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: asked.append(1))
def progress(done, steps):
    print("compiling", flush=True)
    if asked: raise Cancelled
try: compiling.compile_all(progress)
except Cancelled: print("cancelled")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("group", [False, True])
def test_a_signal_while_kernels_compile_cancels_without_a_traceback(tmp_path, number, group):
    """Also one to the process group, which the process that compiles receives as well, as of Ctrl-C in a terminal."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([sys.executable, "-c", CANCELLED], cwd=ROOT, env=environment, **pipes) as process:
        assert process.stdout.readline() == "compiling\n"
        begin = time.monotonic()
        (os.killpg if group else os.kill)(process.pid, number)
        said, complaints = process.communicate(timeout=60)
        with pytest.raises(ProcessLookupError):
            # The process that compiles is gone, too.
            os.killpg(process.pid, 0)
    assert process.returncode == 0 and said.splitlines()[-1] == "cancelled" and complaints == ""
    assert time.monotonic() - begin < 30


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path):
    """In the process that compiles, and in one that loads what was compiled before."""
    (tmp_path / "file").touch()
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache")}
    for code in ("from engine.kernels import compiling; compiling.compile_all()", "from engine.kernels.noise import cpu"):
        code = (
            f"from engine.runs.errors import explain as e\ntry:\n {code}\nexcept Exception as error:\n print(e(error).code, e(error))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.stdout.startswith(f"file {tmp_path / 'file' / 'cache'}: compiled kernels cannot be kept there") and not done.stderr, (
            done
        )


def test_a_full_disk_ends_the_process_that_compiles_with_its_number(monkeypatch, capsys):
    from engine import kernels
    from engine.kernels import compiling
    from engine.runs.errors import explain

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compiling, "_compile", full)
    with pytest.raises(SystemExit) as end:
        compiling._child()
    assert end.value.code == 1 and capsys.readouterr().out == f"error {errno.ENOSPC}\n"
    # What the process that waits makes of it.
    told = explain(kernels.unwritable(errno.ENOSPC))
    assert told.code == "disk_full" and told.message == f"The disk is full: {kernels.CACHE} could not be written."


def test_kernels_of_versions_long_unused_are_removed(tmp_path, monkeypatch):
    """Only folders that this program made."""
    from engine import kernels
    from engine.kernels import compiling

    monkeypatch.setattr(kernels, "cache_root", lambda: tmp_path)
    old, now = time.time() - 100 * 86400, time.time()
    names = ["0123456789abcdef", "fedcba9876543210", "00000000000000aa", "my-own-folder", "1111111111111111"]
    for name in names:
        (tmp_path / "kernels" / name / "tiles").mkdir(parents=True)
        (tmp_path / "kernels" / name / "tiles" / "cpu.nbc").touch()
    for name, used in zip(names[:4], (old, now, old, old), strict=True):
        mark = tmp_path / "kernels" / name / kernels.MARK
        mark.touch()
        os.utime(mark, (used, used))
    monkeypatch.setattr(compiling, "CACHE", tmp_path / "kernels" / "00000000000000aa")
    compiling._prune()
    assert sorted(folder.name for folder in (tmp_path / "kernels").iterdir()) == sorted(names[1:])


def test_each_use_of_compiled_kernels_is_noted(tmp_path):
    mark = tmp_path / "compiled"
    mark.touch()
    os.utime(mark, (1, 1))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import engine.kernels"], cwd=ROOT, env=environment, check=True)
    assert mark.stat().st_mtime > time.time() - 600
