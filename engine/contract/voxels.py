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
        0, "Number of generated pieces of furniture in each of eight categories, besides those of the folder.", minimum=0, maximum=1_000_000
    )
    views: int = setting(12, "Images of each piece.", minimum=1, maximum=1000)
    catalogue: str = setting(
        "",
        "JSON file that lists which meshes of the folder are furniture, with category and split; without it all are used, their"
        " folder is their category, and a tenth is for testing.",
    )
    variants: int = setting(
        0, "Number of additional variants of each training mesh, with its sides stretched at random.", minimum=0, maximum=10_000
    )
    seed: int = setting(0, "Seed of the generated pieces and of all views.", minimum=0, maximum=2**31 - 1)
    shard: int = setting(1, "Index of this part of the work, where several processes or machines share it.", minimum=1, maximum=10_000)
    shards: int = setting(1, "Number of parts.", minimum=1, maximum=10_000)


@dataclass(frozen=True)
class VoxelTrainSettings:
    """How 3D-R2N2 is trained (Choy et al. 2016)."""

    network: Literal["lstm-1", "gru-3", "residual-gru-3", "lstm-1-small", "gru-3-small", "residual-gru-3-small", "simple"] = setting(
        "gru-3-small",
        "Network: lstm-1, gru-3 and residual-gru-3 as published; those that end in -small have at most 12 million weights and "
        "train on a processor; simple has two convolutions and three dense layers, for reading.",
    )
    start: str = setting(
        "",
        "Initial weights, of the same network: the result of another training, or its weights.safetensors. Empty initializes at random.",
    )
    minutes: float | None = setting(
        None, "Time budget of this run, which can be resumed; 75 where no steps are given either.", unit="min", minimum=0.05, maximum=10_000
    )
    steps: int | None = setting(None, "Total number of steps instead of a time budget.", minimum=1, maximum=100_000_000)
    device: Literal["auto", "cpu", "xpu", "cuda"] = setting("auto", "Device: auto takes the best one that is available.")
    batch: int = setting(32, "Shapes per step; published: 36, and 24 for the residual network.", minimum=1, maximum=4096)
    most_views: int = setting(
        3,
        "Maximum number of views of a shape in a step; the number is random, few views more often than many; published: 5.",
        minimum=1,
        maximum=24,
        advanced=True,
    )
    random_backgrounds: float = setting(
        0.0,
        "Fraction of images with a random background color, as published, instead of the constant color that prediction uses.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    learning_rate: float = setting(
        5e-4,
        "Initial learning rate, of Muon for convolutions and dense layers and of Adam for the rest; published: Adam, 1e-4.",
        minimum=0.0,
        advanced=True,
    )
    schedule_steps: int = setting(
        30_000,
        "Steps over which the learning rate decays to a hundredth along a half cosine; afterwards it is constant.",
        minimum=1,
        advanced=True,
    )
    weight_decay: float = setting(
        0.01,
        "Weight decay relative to the learning rate; published: 5e-5, added to gradients.",
        minimum=0.0,
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "Precision of the networks: auto takes bfloat16 where the device supports it natively.", advanced=True
    )
    seed: int = setting(0, "Seed of everything random in training.", minimum=0, maximum=2**31 - 1, advanced=True)
    threads: int = setting(0, "Processor threads; 0 takes all.", minimum=0, maximum=1024, advanced=True)


@dataclass(frozen=True)
class VoxelShape:
    """What is made of predicted probabilities; it can be changed without predicting anew."""

    threshold: float = setting(
        0.4, "Probability above which a voxel is occupied: lower values fill gaps, higher ones thin the shape.", minimum=0.05, maximum=0.95
    )
    smoothness: float = setting(0.5, "Smoothing of the mesh: 0 gives blocks, 1 the smoothest surface.", minimum=0.0, maximum=1.0)
    dimension: Literal["longest", "width", "depth", "height"] = setting(
        "longest", "Which real dimension is known: the longest side, the width along x, the depth along y, or the height."
    )
    length: float = setting(1.0, "Real length of that dimension.", unit="m", minimum=0.0001, maximum=10_000.0)


@dataclass(frozen=True)
class VoxelSettings(VoxelShape):
    """How voxels are made of pictures."""

    weights: str = setting(
        "",
        "Weights of the network: the result of voxels train, or its weights.safetensors. Empty takes those that come with Reconstruct.",
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16", "int8"] = setting(
        "auto",
        "Precision of the networks: auto takes bfloat16 where the processor supports it natively; int8 quantizes the image "
        "encoder, in the profile ipex, and takes some ten seconds to prepare.",
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
