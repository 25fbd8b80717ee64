# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of voxels from pictures: the data that is made, the training, and what is made of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import UserError
from .schema import setting

# What results say that these settings made.
METHOD = "r2n2"
# Pictures that the network can make use of.
MOST_VIEWS = 24


@dataclass(frozen=True)
class MakeDataSettings:
    """What data for 3D-R2N2 is made of."""

    furniture: int = setting(
        0, "Pieces of furniture to make up in each of eight categories, besides those of the folder.", minimum=0, maximum=1_000_000
    )
    views: int = setting(12, "Pictures of each piece.", minimum=1, maximum=1000)
    catalogue: str = setting(
        "",
        "JSON file that says which meshes of the folder are furniture, of which category and for which split; without it all are taken, "
        "their folder is their category, and a tenth of them is for testing.",
    )
    variants: int = setting(
        0, "Besides each mesh to learn from, so many pieces more with its sides stretched at random.", minimum=0, maximum=10_000
    )
    seed: int = setting(0, "Seed of the pieces that are made up, and of all views.", minimum=0, maximum=2**31 - 1)
    shard: int = setting(1, "Which part of the work to do, where several processes or machines share it.", minimum=1, maximum=10_000)
    shards: int = setting(1, "In how many parts the work is shared.", minimum=1, maximum=10_000)


@dataclass(frozen=True)
class VoxelTrainSettings:
    """How 3D-R2N2 is trained (Choy et al. 2016)."""

    network: Literal["lstm-1", "gru-3", "residual-gru-3", "lstm-1-small", "gru-3-small", "residual-gru-3-small", "simple"] = setting(
        "gru-3-small",
        "Network: lstm-1, gru-3 and residual-gru-3 as published; those that end in -small have at most 12 million weights and learn on a "
        "processor; simple is two convolutions and three dense layers, for reading.",
    )
    start: str = setting(
        "",
        "Weights to start from, of the same network: the result of another training, or its weights.safetensors. Empty: random ones.",
    )
    minutes: float | None = setting(
        None, "Time to train in this run; it can be resumed. 75 where no steps are given either.", unit="min", minimum=0.05, maximum=10_000
    )
    steps: int | None = setting(None, "Number of steps in all instead of a time.", minimum=1, maximum=100_000_000)
    device: Literal["auto", "cpu", "xpu", "cuda"] = setting("auto", "Where to compute: auto takes the best device that is there.")
    batch: int = setting(32, "Shapes of a step; published: 36, and 24 for the residual network.", minimum=1, maximum=4096)
    most_views: int = setting(
        3,
        "The most views of a shape in a step, whose number is drawn anew each time, few more often than many; published: 5.",
        minimum=1,
        maximum=24,
        advanced=True,
    )
    random_backgrounds: float = setting(
        0.0,
        "Share of pictures that are learnt from before random colours, as was published, instead of the one colour that all are put before "
        "when they are recognised.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    learning_rate: float = setting(
        5e-4,
        "Learning rate at the start, of Muon for convolutions and dense layers and of Adam for the rest; published: Adam, 1e-4.",
        minimum=0.0,
        advanced=True,
    )
    schedule_steps: int = setting(
        30_000,
        "Steps over which the learning rate falls to a hundredth, along half a cosine; afterwards it stays there.",
        minimum=1,
        advanced=True,
    )
    weight_decay: float = setting(
        0.01,
        "Share of the learning rate that weights shrink by in a step; published: 5e-5, added to gradients.",
        minimum=0.0,
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "Numbers to compute with: auto takes bfloat16 where the device multiplies it itself.", advanced=True
    )
    seed: int = setting(0, "Seed of everything random in training.", minimum=0, maximum=2**31 - 1, advanced=True)
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)


@dataclass(frozen=True)
class VoxelShape:
    """What is made of predicted probabilities; it can be changed without predicting anew."""

    threshold: float = setting(
        0.4, "Probability from which on a voxel is full: a lower one fills in, a higher one thins out.", minimum=0.05, maximum=0.95
    )
    smoothness: float = setting(0.5, "How far the mesh is rounded: 0 gives blocks, 1 the smoothest surface.", minimum=0.0, maximum=1.0)
    dimension: Literal["longest", "width", "depth", "height"] = setting(
        "longest", "Which real dimension is known: the longest side, the width along x, the depth along y, or the height."
    )
    length: float = setting(1.0, "Real length of that dimension.", unit="m", minimum=0.0001, maximum=10_000.0)


@dataclass(frozen=True)
class VoxelSettings(VoxelShape):
    """How voxels are made of pictures."""

    weights: str = setting(
        "",
        "What the network has learnt: the result of voxels train, or its weights.safetensors. Empty takes what comes with Reconstruct.",
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16", "int8"] = setting(
        "auto",
        "Numbers to compute with: auto takes bfloat16 where the processor multiplies it itself; int8 quantises what looks at pictures, in "
        "the profile ipex, and takes some ten seconds to prepare.",
        advanced=True,
    )


def check_pictures(count: int) -> None:
    """Refuses numbers of pictures that nothing can be made of.

    Raises:
        UserError: there is none, or there are too many.
    """
    if not count:
        raise UserError("No picture is chosen.", "Choose one picture or several of the same piece.")
    if count > MOST_VIEWS:
        raise UserError(f"{count} pictures are more than the network can make use of.", f"Give up to {MOST_VIEWS}.")
