# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzing of every reader: damaged files are read, or refused in a sentence, within a bound of time and memory.

    python -m tests.fuzz.run --count 1000 --seed 0 [--bombs] [--commands] [--only splats points …] [--keep FOLDER]

Each input is read in a process of its own, forked from this one, whose time and memory the system measures. POSIX only.
"""

from __future__ import annotations

import os

# As the engine's own process: threads that spin while they wait take minutes on a machine that is busy, where they take a second alone.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

# ruff: noqa: E402
import argparse
import contextlib
import faulthandler
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.contract.errors import UserError

from . import corpus
from .bombs import bombs
from .corpus import Source
from .mutate import mutate
from .targets import READERS

SECONDS = 10.0
# A command computes as well.
COMMAND_SECONDS = 60.0
MEMORY = 2 << 30
# Of memory, for a byte of the file.
GROWTH = 8


@dataclass(frozen=True)
class Case:
    """A damaged file: how it is named in findings, its reader, the folder that is copied for it, the file, and what makes its content."""

    name: str
    reader: str
    folder: Path
    file: str
    content: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True)
class End:
    """How the reading of a case ended, ``read`` or the sentence of the refusal; seconds of processors, and bytes of memory."""

    said: str
    seconds: float
    memory: int


@dataclass(frozen=True)
class Finding:
    """What was wrong with the reading of a case: the kind, and where or how much."""

    case: str
    kind: str
    said: str


def cases(sources: list[Source], count: int, seed: int) -> Iterator[Case]:
    """Damaged files, each file of the corpus in turn."""
    others = [(source.folder / source.file).read_bytes() for source in sources]
    for index in range(count):
        source = sources[index % len(sources)]
        rng = random.Random(f"{seed}:{index}")
        how, content = mutate(others[index % len(sources)], others, rng)
        name = f"{seed}:{index} {source.reader} {source.file} {how}"
        yield Case(name, source.reader, source.folder, source.file, lambda content=content: content)


def valid_cases(sources: list[Source]) -> Iterator[Case]:
    """The files of the corpus as they are."""
    for source in sources:
        yield Case(f"valid {source.file}", source.reader, source.folder, source.file, (source.folder / source.file).read_bytes)


def bomb_cases(sources: list[Source]) -> Iterator[Case]:
    """The bombs, each in the folder of a source that reads a file of its name, or alone; by commands where these are loaded."""
    loaded = sys.modules.get("tests.fuzz.commands")
    for index, (reader, file, content) in enumerate(bombs()):
        if loaded and reader not in loaded.BOMBED:
            continue
        reader = loaded.BOMBED[reader] if loaded else reader
        folder = next((source.folder for source in sources if source.reader == reader and source.file == file), sources[0].folder)
        yield Case(f"bomb {index} {reader} {file}", reader, folder, file, content)


def check(case: Case, scratch: Path, keep: Path | None = None) -> tuple[Finding | None, End]:
    """Reads a case in a process of its own.

    Returns:
        What was wrong, None where nothing was; and how it ended.
    """
    folder = scratch / "case"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(case.folder, folder)
    seconds = SECONDS if case.reader in READERS else COMMAND_SECONDS
    (folder / case.file).parent.mkdir(parents=True, exist_ok=True)
    content = case.content()
    (folder / case.file).write_bytes(content)
    size = len(content)
    del content
    before, (out, into) = _resident(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        _read(case, folder, into, seconds)
    os.close(into)
    with open(out, encoding="utf-8") as stream:
        text = stream.read()
    _, status, used = os.wait4(child, 0)
    kind, said, before = json.loads(text) if text else ("died", "", before)
    took, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) - before
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        kind = "hang" if number in (signal.SIGXCPU, signal.SIGALRM) else "died"
        said = signal.Signals(number).name
    elif kind in ("read", "refused") and memory > max(MEMORY, GROWTH * size):
        kind, said = "memory", f"{memory / 2**30:.1f} GiB for {size} bytes"
    elif kind in ("read", "refused") and took > seconds:
        kind, said = "hang", f"{took:.0f} s for {size} bytes"
    end = End(said or "read", took, memory)
    if kind in ("read", "refused"):
        return None, end
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / case.file, keep / f"{case.name.split()[0].replace(':', '-')}-{Path(case.file).name}")
    return Finding(case.name, kind, said), end


def _read(case: Case, folder: Path, into: int, seconds: float) -> None:
    """Reads a case, writes how it ended, and ends this process."""
    kind, said, before = "read", "", _resident()
    try:
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 2, most))
        # A process that waits, or that shares its processor with many others.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 5 * seconds)
        faulthandler.dump_traceback_later(4 * seconds)
        if Path("/proc/self/statm").is_file():
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + 4 * MEMORY, resource.RLIM_INFINITY))
        with warnings.catch_warnings():
            if case.reader in READERS:
                # A warning is a line in the terminal that helps nobody.
                warnings.simplefilter("error", RuntimeWarning)
            _readers()[case.reader](folder, folder / case.file)
    except UserError as error:
        kind, said = "refused", str(error)
        if "\n" in said or len(said) > 1000 or not error.message.endswith((".", "!", "?")):
            kind = "sentence"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = next((frame for frame in reversed(frames) if "/engine/" in frame.filename or "/addon/" in frame.filename), frames[-1])
        kind = "traceback"
        said = f"{type(error).__name__}: {str(error)[:150]} [{Path(ours.filename).name}:{ours.lineno} {ours.name}]"
    with contextlib.suppress(BaseException):
        os.write(into, json.dumps([kind, said[:2000], before]).encode())
    os._exit(0)


def _readers() -> dict[str, Callable[[Path, Path], object]]:
    # Commands are loaded only where they are asked for.
    loaded = sys.modules.get("tests.fuzz.commands")
    return READERS | (loaded.COMMANDS if loaded else {})


def _resident() -> int:
    """Memory of this process now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(arguments: list[str]) -> int:
    """Runs the command line. Returns 1 where something was found."""
    parser = argparse.ArgumentParser(description="Reads damaged files.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bombs", action="store_true", help="read the bombs as well")
    parser.add_argument("--commands", action="store_true", help="read by the command line instead of by the readers alone")
    parser.add_argument("--only", nargs="*", default=[], help="readers, or commands")
    parser.add_argument("--keep", type=Path, help="folder that receives what was found")
    parser.add_argument("--verbose", action="store_true", help="print how each case ended")
    given = parser.parse_args(arguments)
    # Sentences quote what they refuse.
    sys.stdout.reconfigure(errors="backslashreplace")
    with tempfile.TemporaryDirectory() as made:
        sources = corpus.build(Path(made) / "corpus")
        if given.commands:
            from .commands import build

            sources = build(Path(made) / "results", sources, given.only)
        sources = [source for source in sources if source.reader in given.only or not given.only]
        chosen = [*valid_cases(sources), *cases(sources, given.count, given.seed)]
        chosen += [case for case in bomb_cases(sources) if case.reader in given.only or not given.only] if given.bombs else []
        found: list[Finding] = []
        ends: Counter[str] = Counter()
        by_reader: dict[str, list[End]] = {}
        begin = time.monotonic()
        for index, case in enumerate(chosen):
            finding, end = check(case, Path(made), given.keep)
            if finding is None and index < len(sources) and end.said != "read":
                finding = Finding(case.name, "refused a valid file", end.said)
            ends["found" if finding else "read" if end.said == "read" else "refused"] += 1
            by_reader.setdefault(case.reader, []).append(end)
            if given.verbose:
                took = f"{end.seconds:.1f} s, {end.memory / 2**20:.0f} MiB"
                print(f"{time.monotonic() - begin:.0f} s  {case.name}: {end.said} ({took})", flush=True)
            if finding is not None:
                found.append(finding)
                print(f"{finding.kind}: {finding.said}  ({finding.case})", flush=True)
    for reader, all_of_it in by_reader.items():
        refused = sum(end.said != "read" for end in all_of_it)
        most = f"at most {max(end.seconds for end in all_of_it):.1f} s, {max(end.memory for end in all_of_it) / 2**20:.0f} MiB"
        print(f"{reader}: {len(all_of_it)} inputs, {refused} not read, {most}")
    print(f"{len(chosen)} inputs: {ends['read']} read, {ends['refused']} refused, {ends['found']} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
