# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of 3D-R2N2 (Choy et al. 2016, arXiv 1604.00449): a 2D encoder, a recurrent grid of 4³ cells, a 3D decoder to 32³.

Views come one after the other, any number of them. Each is encoded into features; the grid's cells, each with weights of its own for them,
take over what they see of the view and keep the rest; the decoder turns the grid into two numbers a voxel, empty and full, for a softmax.
Layers are those of the published program; where it fills up a grid with zeros and convolves that, a transposed convolution sums the same
products without those that are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .simple import SimpleNetwork

GRID = 4
_LEAK = 0.01
_BY_PLACE = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True)
class Variant:
    """Sizes of a network: ``encoder`` channels of its six stages, ``features`` of a view, ``decoder`` channels of the grid's cells and of
    the stages at 8³, 16³ and 32³ (two); ``kernel`` of the recurrence's convolutions. A decoder of four numbers is a
    :class:`_SmallDecoder`: cells, 8³, 16³ and its convolution there. ``level`` brings each view's features to mean 0 and variance 1.
    """

    residual: bool
    cell: str
    kernel: int
    encoder: tuple[int, ...] = (96, 128, 256, 256, 256, 256)
    features: int = 1024
    decoder: tuple[int, ...] = (128, 128, 128, 64, 32)
    level: bool = False


_SMALL = {"encoder": (16, 64, 128, 192, 256, 256), "features": 512, "decoder": (64, 64, 32, 32), "level": True}
VARIANTS = {
    "lstm-1": Variant(False, "lstm", 1),
    "gru-3": Variant(False, "gru", 3),
    "residual-gru-3": Variant(True, "gru", 3),
    "lstm-1-small": Variant(False, "lstm", 1, **_SMALL),
    "gru-3-small": Variant(False, "gru", 3, **_SMALL),
    "residual-gru-3-small": Variant(True, "gru", 3, **_SMALL),
}


def new_network(name: str) -> nn.Module:
    """A network of a name, with weights as training starts from: those of one random stream, torch's."""
    return SimpleNetwork() if name == "simple" else RecurrentNetwork(VARIANTS[name])


class RecurrentNetwork(nn.Module):
    """See the module."""

    def __init__(self, variant: Variant):
        super().__init__()
        make = _ResidualEncoder if variant.residual else _PlainEncoder
        self.encoder = make(variant.encoder, variant.features)
        cell = _LstmCell if variant.cell == "lstm" else _GruCell
        self.cell = cell(variant.features, variant.decoder[0], variant.kernel)
        full = _ResidualDecoder if variant.residual else _PlainDecoder
        self.decoder = (_SmallDecoder if len(variant.decoder) == 4 else full)(variant.decoder)
        self.level = variant.level
        self.apply(_start)
        # Channels side by side: on processors convolutions of few channels take half the time so.
        for weights in self.parameters():
            if weights.ndim > 3:
                weights.data = weights.data.contiguous(memory_format=_BY_PLACE[weights.ndim])

    def forward(self, views: Tensor) -> Tensor:
        """Voxels from views.

        Args:
            views: [B, V, 3, 127, 127] sRGB codes from 0 to 1.

        Returns:
            [B, 2, 32, 32, 32] logits of empty and full, axes x, y, z.
        """
        return self.build(self.features(as_seen(views)).view(*views.shape[:2], -1))

    def features(self, pictures: Tensor) -> Tensor:
        """What the cells are shown of pictures, as :func:`as_seen` gives them: [N, features]."""
        features = self.encoder(pictures)
        # Else they grow while learning, until every gate and cell is full on or off and nothing passes back through them: after 1 800
        # steps 98 % of the cells were.
        return F.layer_norm(features, features.shape[-1:]) if self.level else features

    def build(self, features: Tensor) -> Tensor:
        """Logits as of :meth:`forward` from the features of views, one view after the other: [B, V, features]."""
        state = None
        for index in range(features.shape[1]):
            state = self.cell(features[:, index], state)
        return self.decoder(state[0])


def as_seen(views: Tensor) -> Tensor:
    """Views [B, V, 3, H, W] as encoders take them, [B V, 3, H, W]."""
    return (views.flatten(0, 1) - 0.5).contiguous(memory_format=torch.channels_last)


def _start(layer: nn.Module) -> None:
    """Weights as published: normal, by the mean of what comes into and goes out of a layer (MSRA); biases 0.1."""
    if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose3d, nn.Linear)):
        taps = layer.weight[0, 0].numel()
        mean = (layer.weight.shape[0] + layer.weight.shape[1]) / 2 * taps
        if isinstance(layer, nn.ConvTranspose3d):
            mean /= 8  # so many of its taps meet a zero
        nn.init.normal_(layer.weight, std=(2 / mean) ** 0.5)
        if layer.bias is not None:
            nn.init.constant_(layer.bias, 0.1)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _LEAK)


def _pool(x: Tensor, leak: float) -> Tensor:
    """Halves a side, rounding up and once more: 127, 64, 33, 17, 9, 5, 3. Rectifies with what leaks of the negative; 1 leaves it."""
    if x.requires_grad:
        # Not for what is only predicted: Numba takes longer to load than that.
        from ..kernels.autograd import pool

        return pool(x, leak)
    return F.leaky_relu(F.max_pool2d(x, 2, padding=1), leak)


class _PlainEncoder(nn.Module):
    """Six convolutions, each with pooling, and one dense layer."""

    # What INT8 leaves as it is: the layer that sees colors.
    PRECISE = ("stages.0",)

    def __init__(self, channels: tuple[int, ...], features: int):
        super().__init__()
        before = (3, *channels)
        self.stages = nn.ModuleList(
            nn.Conv2d(a, b, 3 if index else 7, padding=1 if index else 3)
            for index, (a, b) in enumerate(zip(before, channels, strict=False))
        )
        self.dense = nn.Linear(channels[-1] * 9, features)

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures
        for stage in self.stages:
            x = _pool(stage(x), _LEAK)
        return _leaky(self.dense(x.flatten(1)))


class _ResidualEncoder(nn.Module):
    """Six stages of two convolutions; all but the first and the fourth add what came in."""

    PRECISE = ("first.0",)

    def __init__(self, channels: tuple[int, ...], features: int):
        super().__init__()
        before = (3, *channels)
        self.first, self.second, self.around = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for index, (a, b) in enumerate(zip(before, channels, strict=False)):
            self.first.append(nn.Conv2d(a, b, 3 if index else 7, padding=1 if index else 3))
            self.second.append(nn.Conv2d(b, b, 3, padding=1))
            # The sixth adds it as it is where it has as many channels, as published.
            through = index in (1, 2, 4) or (index == 5 and a != b)
            self.around.append(nn.Conv2d(a, b, 1) if through else nn.Identity())
        self.dense = nn.Linear(channels[-1] * 9, features)

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures
        for index, (first, second, around) in enumerate(zip(self.first, self.second, self.around, strict=True)):
            made = _leaky(second(_leaky(first(x))))
            x = _pool(made if index in (0, 3) else made + around(x), 1.0)
        return _leaky(self.dense(x.flatten(1)))


class _LstmCell(nn.Module):
    """Input and forget gates without an output gate (the paper's equations 3 to 6). The state is what is shown, and what is kept."""

    def __init__(self, features: int, hidden: int, kernel: int):
        super().__init__()
        self.hidden = hidden
        self.view = nn.Linear(features, 3 * hidden * GRID**3, bias=False)
        self.around = nn.Conv3d(hidden, 3 * hidden, kernel, padding=kernel // 2)

    def forward(self, features: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        seen = self.view(features).view(-1, 3 * self.hidden, GRID, GRID, GRID)
        shown, kept = state if state is not None else (torch.zeros_like(seen[:, : self.hidden]),) * 2
        takes, keeps, new = (seen + self.around(shown)).chunk(3, dim=1)
        kept = keeps.sigmoid() * kept + takes.sigmoid() * new.tanh()
        return kept.tanh(), kept


class _GruCell(nn.Module):
    """Update and reset gates (the paper's equations 7 to 9)."""

    def __init__(self, features: int, hidden: int, kernel: int):
        super().__init__()
        self.hidden = hidden
        self.view = nn.Linear(features, 3 * hidden * GRID**3, bias=False)
        self.around = nn.Conv3d(hidden, 2 * hidden, kernel, padding=kernel // 2)
        self.new = nn.Conv3d(hidden, hidden, kernel, padding=kernel // 2)

    def forward(self, features: Tensor, state: tuple[Tensor] | None) -> tuple[Tensor]:
        seen = self.view(features).view(-1, 3 * self.hidden, GRID, GRID, GRID)
        (shown,) = state if state is not None else (torch.zeros_like(seen[:, : self.hidden]),)
        keeps, resets = (seen[:, : 2 * self.hidden] + self.around(shown)).sigmoid().chunk(2, dim=1)
        new = (seen[:, 2 * self.hidden :] + self.new(resets * shown)).tanh()
        return (keeps * shown + (1 - keeps) * new,)


class _Widen(nn.ConvTranspose3d):
    """Twice the side: cells with zeros between them, convolved by 3³."""

    def __init__(self, before: int, after: int):
        super().__init__(before, after, 3, stride=2, padding=1, output_padding=1)


def _spread(x: Tensor) -> Tensor:
    """Twice the side, with zeros between the cells."""
    made = x.new_zeros(*x.shape[:2], *(2 * side for side in x.shape[2:]))
    made[:, :, ::2, ::2, ::2] = x
    return made


class _PlainDecoder(nn.Module):
    """Three times twice the side, then two convolutions."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.widen = nn.ModuleList(_Widen(a, b) for a, b in zip(channels[:3], channels[1:4], strict=True))
        self.last = nn.Conv3d(channels[3], channels[4], 3, padding=1)
        self.out = nn.Conv3d(channels[4], 2, 3, padding=1)

    def forward(self, state: Tensor) -> Tensor:
        x = state
        for widen in self.widen:
            x = _leaky(widen(x))
        return self.out(_leaky(self.last(x)))


class _ResidualDecoder(nn.Module):
    """As the plain one, with two convolutions a stage and what came in added."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.widen, self.second, self.around = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for a, b in zip(channels[:3], channels[1:4], strict=True):
            self.widen.append(_Widen(a, b))
            self.second.append(nn.Conv3d(b, b, 3, padding=1))
            self.around.append(nn.Identity() if a == b else nn.Conv3d(a, b, 1))
        third, last = channels[3:]
        self.last = nn.ModuleList([nn.Conv3d(third, last, 3, padding=1), *(nn.Conv3d(last, last, 3, padding=1) for _ in range(2))])
        self.out = nn.Conv3d(last, 2, 3, padding=1)

    def forward(self, state: Tensor) -> Tensor:
        x = state
        for widen, second, around in zip(self.widen, self.second, self.around, strict=True):
            x = around(_spread(x)) + _leaky(second(_leaky(widen(x))))
        x = _leaky(self.last[0](x))
        # Both of what the stage adds start from here, as in the published program.
        return self.out(self.last[2](x) + _leaky(self.last[1](x)))


class _SmallDecoder(nn.Module):
    """Twice the side and once more, one convolution at 16³, and straight from there to the voxels. The published decoders' layers at 32³
    take two thirds of a step on a processor; whether a long training would be better with them was not measured.
    """

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.widen = nn.ModuleList(_Widen(a, b) for a, b in zip(channels[:2], channels[1:3], strict=True))
        self.last = nn.Conv3d(channels[2], channels[3], 3, padding=1)
        self.out = _Widen(channels[3], 2)

    def forward(self, state: Tensor) -> Tensor:
        x = state
        for widen in self.widen:
            x = _leaky(widen(x))
        return self.out(_leaky(self.last(x)))
