# SPDX-License-Identifier: GPL-3.0-or-later
"""H.264 films in MP4 files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np

from ..contract.errors import UserError
from ..contract.result import replacing
from .packages import require
from .png import SOFTWARE, to_pixels


def pyav() -> ModuleType:
    """The package that reads and writes films.

    Raises:
        UserError: it is not installed.
    """
    return require("av", "Films")


def is_ours(file: Path) -> bool:
    """Whether :func:`film_writer` wrote an MP4."""
    try:
        with pyav().open(str(file)) as container:
            return container.metadata.get("comment") == SOFTWARE
    except (OSError, RuntimeError, ValueError):
        return False


@contextlib.contextmanager
def film_writer(file: Path, width: int, height: int, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Writes a film that every player shows. After an error there is no file.

    Args:
        file: receives the film.
        width, height: px, even.
        fps: frames a second.

    Yields:
        A function that appends a frame: [3, H, W] sRGB, 0 to 1.

    Raises:
        UserError: PyAV is missing or cannot encode H.264.
    """
    av = pyav()
    encoder, options = _h264(av)
    with replacing(file) as temporary, av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = SOFTWARE
        stream = container.add_stream(encoder, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        if not options:
            stream.bit_rate = max(1_000_000, int(0.2 * width * height * fps))
        # The standard's numbers for BT.709 and its limited range, without which players guess the colors.
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1

        def append(image: np.ndarray) -> None:
            frame = av.VideoFrame.from_ndarray(to_pixels(image), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")))

        yield append
        container.mux(stream.encode(None))


def _h264(av: ModuleType) -> tuple[str, dict[str, str]]:
    """The H.264 encoder that PyAV has, and options for good quality; no options where it only knows a bit rate."""
    for name, options in (("libx264", {"crf": "18"}), ("h264", {})):
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            return av.Codec(name, "w").name, options
    raise UserError("This PyAV cannot encode H.264.", "Install the package av from the package index, or render PNGs.")
