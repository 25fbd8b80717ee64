# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way into the engine sets Numba up before Numba is loaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("door", ["cli", "training.loop", "bench", "doctor", "methods.splat", "splats.renderer", "kernels.adam.cpu"])
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
