# SPDX-License-Identifier: GPL-3.0-or-later
"""First compilation of the kernels: half a minute that set-up pays, or that is shown as progress.

It happens in a process of its own, because what Numba 0.68 has just compiled differs in rounding from what it later reads back from its
cache: a parallel loop is optimised once more when it is written there. Results are the same on every run only if all runs read.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from . import CACHE, MARK, caches, unwritable

# Seconds between two calls of ``progress``, because a kernel may take many.
_ASK_EVERY = 0.5
# Begins the line by which the process that compiles passes on the number of an OSError.
_ERROR = "error"
# Other versions' kernels are kept until they have not been used for so long.
_UNUSED_DAYS = 90


def is_compiled() -> bool:
    """Whether all kernels lie compiled in the user's cache."""
    return (CACHE / MARK).is_file()


def compile_all(progress: Callable[[int, int], None] | None = None) -> None:
    """Has every kernel compiled into the user's cache.

    Args:
        progress: called with (done, all) after each kernel and twice a second; an error that it raises ends the compilation.

    Raises:
        OSError: the cache cannot be written, for example because its disk is full.
        RuntimeError: a kernel does not compile.
    """
    root = Path(__file__).parents[__name__.count(".")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
    # Ctrl-C in a terminal reaches the child as well, which ends without a traceback, from its first import on; unless it is ignored.
    quietly = "signal.getsignal(signal.SIGINT) == signal.SIG_IGN or signal.signal(signal.SIGINT, signal.SIG_DFL)"
    code = f"import signal; {quietly}; from {__name__} import _child; _child()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
        reader.start()
        done, failed = (0, 1), None
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    line = lines.get(timeout=_ASK_EVERY)
                    if not line:
                        break
                    if line.startswith(_ERROR):
                        failed = int(line.removeprefix(_ERROR))
                    else:
                        done = tuple(map(int, line.split()))
                if progress is not None:
                    progress(*done)
        except BaseException:
            child.kill()
            raise
        finally:
            reader.join()
    if child.returncode != 0:
        if progress is not None:
            # Whoever ended the child may have asked this process to end as well.
            progress(*done)
        if failed is not None:
            raise unwritable(failed)
        raise RuntimeError(f"The kernels could not be compiled (exit code {child.returncode}).")
    _prune()


def _read(stream: IO[str], lines: queue.Queue[str]) -> None:
    """Puts each line of a stream into a queue, and an empty one at its end."""
    for line in stream:
        lines.put(line)
    lines.put("")


def _prune() -> None:
    """Removes compiled kernels of other versions that have not been used for long."""
    for folder in caches():
        with contextlib.suppress(OSError):
            if folder != CACHE and (folder / MARK).stat().st_mtime < time.time() - 86400 * _UNUSED_DAYS:
                shutil.rmtree(folder)


def _child() -> None:
    """What the process that compiles does; it ends when nobody listens any more."""
    try:
        _compile()
    except BrokenPipeError:
        os._exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        print(_ERROR, error.errno, flush=True)
        sys.exit(1)


def _compile() -> None:
    """Compiles every kernel by running it once on one gaussian or ray, with the types that training uses; prints how many of how many."""
    from . import simd
    from .adam import deferred
    from .drawing import cpu as drawing
    from .fusion import cpu as fusion
    from .hashgrid import Layout
    from .hashgrid import cpu as hashgrid
    from .marching import cpu as marching
    from .noise import cpu as noise
    from .photometric import cpu as photometric
    from .project import cpu as project
    from .radiance import cpu as radiance
    from .radiance.reference import shapes
    from .rasterize import cpu as rasterize
    from .sampling import cpu as sampling
    from .solid import cpu as solid
    from .tiles import cpu as tiles
    from .triangles import cpu as triangles
    from .volume import cpu as volume

    f = np.float32
    width, height = 40, 40
    table = np.zeros((project.ROWS, simd.WIDTH), f)
    table[project.MEANS + 2], table[project.QUATS] = 2, 1
    viewmat, position, lens = np.eye(4, dtype=f), np.zeros(3, f), np.array([40, 40, 20, 20], f)
    splats, visible = np.zeros((simd.WIDTH, tiles.COLUMNS), f), np.zeros(simd.WIDTH, bool)
    image, display = np.zeros((4, height, width), f), np.zeros((3, height, width), f)
    black = np.zeros(3, f)
    view = (viewmat, position, lens, width, height)
    made: dict[str, Any] = {}

    def bin_pairs() -> None:
        made["starts"], made["pairs"], *made["own"] = tiles.bin_pairs(made["rows"], width, height)

    def backward() -> None:
        made["v_rows"] = np.zeros((len(made["rows"]), rasterize.V_COLUMNS), f)
        scratch = np.zeros((len(made["pairs"]), rasterize.GRADIENTS), f)
        rasterize.backward(
            made["rows"],
            made["starts"],
            made["pairs"],
            *made["own"],
            made["needed"],
            image,
            image.copy(),
            False,
            scratch,
            made["v_rows"],
            1,
        )

    def loss() -> None:
        pixels = np.zeros((height, width, 3), np.uint8)
        photometric.forward_backward(image, pixels, black, np.ones(3, f), True, 0.2, image.copy(), np.zeros((3 * height, 2)))

    ray, bits = np.array([[0, 0, 1]], f), np.full((1, 8, 8, 1), 255, np.uint8)
    zero = np.zeros(1, f)

    def march() -> None:
        starts, _, t, dt, positions, _ = marching.march(0 * ray, ray, bits, 0.1, 0.0, zero, zero, 8)
        made["samples"] = (starts, t, dt, positions)

    def composite() -> None:
        starts, t, dt, positions = made["samples"]
        volume.forward(t, positions, t, dt, starts)
        volume.backward(t, positions, t, dt, starts, ray, zero, zero)

    def field(features: int) -> list[Callable[[], object]]:
        # The number of features in a row is part of the kernels' types.
        layout = Layout(levels=16 // features, features=features, log2_size=8, base=4, finest=16)
        table = np.zeros(layout.rows * features, f)
        given = (table, layout.table, layout.like, np.zeros(sum(rows * columns for rows, columns in shapes(layout.width)), f), 0.5)
        rows = radiance.SLOTS * radiance.room(8, 0)
        places, v_features = np.zeros((rows, 3), f), np.zeros((rows, layout.width), f)
        harmonics, moments = np.zeros((1, 16), f), (table, table.copy(), table.copy(), table.copy())

        def learn() -> None:
            walk = (0 * ray, ray, bits, 0.1, 0.0, zero, zero, 8)
            made["segments"] = radiance.learn(*walk, harmonics, *given, ray, ray, False, 0.0, 0.0, 0, False, places, v_features)[2]

        return [
            lambda: radiance.density(ray, *given),
            lambda: radiance.render(*made["samples"], harmonics, *given),
            learn,
            lambda: hashgrid.backward_and_step(places, v_features, made["segments"], *given[1:3], *moments, 0.01, 1.0, 1),
        ]

    def fuse() -> None:
        given = (viewmat[None, :3, :3].copy(), position[None], lens[None], np.ones(1, f), image[:1].copy(), image[:1].copy())
        fusion.fuse(np.zeros((1, 3), np.int32), 0.1, 0.4, *given, np.zeros((1, fusion.VOXELS), f), np.zeros((1, fusion.VOXELS), f))

    def gather() -> None:
        seen = (viewmat[:3, :3].copy(), position, lens, image[0].copy(), 0.1)
        for channels in (3, 6):
            picture, totals = np.zeros((height, width, channels), f), np.zeros((1, channels + 1), f)
            sampling.gather(ray, ray, *seen, picture, image[0].copy(), 1.0, 2.0, totals)

    def draw() -> None:
        faces, shares = np.zeros((height, width), np.int32), np.zeros((height, width, 2), f)
        triangles.rasterize(np.zeros((3, 3)), np.zeros((1, 3), np.int32), faces, image[0].copy(), shares)

    corners, finish = np.zeros((1, 3, 3), f), np.array([[0, 1, 0, 0, 0, 1]], f)
    lamps, one_view = np.zeros((1, 2, 6), f), (np.eye(4, dtype=f)[None, :3], np.ones((1, 4), f), ray, ray)
    nobody, done = np.full(simd.WIDTH, -1, np.int32), np.zeros(1, np.int32)
    paces, corrections = np.zeros((deferred.LIMIT, len(table)), f), np.ones(deferred.LIMIT, f)
    moments = (table.copy(), table.copy())
    steps: list[Callable[[], object]] = [
        lambda: project.forward(table, *view, f(0.1), True, 0, splats, visible),
        lambda: made.update(order=tiles.depth_order(splats, visible)),
        lambda: made.update(rows=tiles.gather_rows(splats, made["order"])),
        bin_pairs,
        lambda: made.update(needed=rasterize.forward(made["rows"], made["starts"], made["pairs"], black, image, 1)),
        lambda: rasterize.median_depth(made["rows"], made["starts"], made["pairs"], image[0].copy(), 1),
        backward,
        lambda: project.backward_and_step(
            table, *view, True, 0, nobody, made["v_rows"], *moments, paces[0], corrections[0], 1, done, 0.0, 0.0
        ),
        lambda: deferred.catch_up(table, *moments, done, 1, paces, corrections, paces[0], True, *view, f(0.1)),
        lambda: photometric.compose_target(np.zeros((height, width, 3), np.uint8), black, True, display),
        lambda: photometric.encode(image, display),
        loss,
        lambda: photometric.gain_slopes(image, image, black, np.zeros((3, height))),
        lambda: noise.shake(table, np.zeros(64, f), 0, 0.0),
        march,
        composite,
        fuse,
        gather,
        draw,
        *field(2),
        *field(4),
        lambda: solid.solid(corners.astype(np.float64), 4),
        lambda: drawing.draw(corners, corners, corners, np.zeros(1, np.int32), finish, np.zeros((4, 4, 4), f), *one_view, lamps, 2),
    ]
    print(0, len(steps), flush=True)
    for index, run in enumerate(steps):
        run()
        print(index + 1, len(steps), flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / MARK).touch()
