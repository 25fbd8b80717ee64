# SPDX-License-Identifier: GPL-3.0-or-later
"""The hot loops, one folder an operation: reference.py in plain torch is the definition, cpu.py in Numba the fast path.

Importing this package sets Numba up, so it comes before any import of Numba. Compiled code goes to the user's cache folder under a key of
everything it depends on: Numba's own cache misses edits in functions that a cached one calls, and would write beside the source.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

# The file in a cache folder that says that all kernels are there; its time is that of their last use.
MARK = "compiled"
_KERNELS, _KEY = "kernels", 16


def cache_root() -> Path:
    """The user's cache folder for this program."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "reconstruct"


def _set_up_numba() -> Path:
    from importlib.metadata import version

    features = llvm.get_host_cpu_features()
    # LLVM keeps to 256-bit vectors on processors with AVX-512 to spare their clock; the compositing loop is 2.6 times as fast with
    # 512-bit ones.
    flags = features.flatten() + (",-prefer-256-bit" if features.get("avx512f") else "")
    os.environ.setdefault("NUMBA_CPU_FEATURES", flags)
    # LLVM tests before a loop that its arrays do not overlap, and gives up vectorising above 8 such tests; a window over rows needs more.
    llvm.set_option("", "-runtime-memory-check-threshold=128")
    digest = hashlib.sha256()
    sources = Path(__file__).parent
    for file in sorted(sources.rglob("*.py")):
        # By content, not by path or time: the extension's copy, a checkout and an update that touches no kernel share one cache.
        digest.update(f"{file.relative_to(sources).as_posix()}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    for fact in (version("numba"), llvmlite.__version__, sys.version, llvm.get_host_cpu_name(), os.environ["NUMBA_CPU_FEATURES"]):
        digest.update(fact.encode())
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_root() / _KERNELS / digest.hexdigest()[:_KEY]))
    # Numba's own locator puts a hash of the source's path into the cache's (0.68).
    os.environ["NUMBA_CACHE_LOCATOR_CLASSES"] = f"{__name__}.cache.ContentLocator"
    cache = Path(os.environ["NUMBA_CACHE_DIR"])
    with contextlib.suppress(OSError):
        os.utime(cache / MARK)
    return cache


def caches() -> list[Path]:
    """The folders of compiled kernels, one for each version of the sources."""
    return list((cache_root() / _KERNELS).glob("[0-9a-f]" * _KEY))


if "numba" in sys.modules:
    raise ImportError("engine.kernels has to be imported before numba, or its settings come too late.")
CACHE = _set_up_numba()


def unwritable(number: int) -> OSError:
    """The error of a cache that cannot be written, by the system's number."""
    return OSError(number, f"compiled kernels cannot be kept there ({os.strerror(number)})", str(CACHE))


def use_threads(count: int) -> None:
    """Has the kernels run on so many threads, or on as many as there are."""
    import numba

    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
