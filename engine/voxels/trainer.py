# SPDX-License-Identifier: GPL-3.0-or-later
"""One step after the other of teaching a network."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..contract.checkpoints import VoxelFacts
from ..contract.schema import from_mapping
from ..contract.voxels import VoxelTrainSettings
from ..data.checkpoint_arrays import saved_array
from .batches import scoring_batch, training_batch
from .dataset import Shapes
from .muon import Muon, matrices
from .networks import new_network
from .scores import full, intersection_over_union

# Steps over which the learning rate rises, and the share to which it falls.
_RISE, _FALL = 50, 0.01
# How fast the mean of weights forgets: at step t its share of old ones is (1 - 1/t) to this power (Karras et al. 2024,
# arXiv 2312.02696), so it reaches back over a tenth of training (standard deviation), however long that is.
_SHORTENS = 7.94
# Weight of the overlap in the loss.
_OVERLAP = 0.3
# A gradient of this length or more is cut to it: one shape that nobody expected would undo many steps.
_LONGEST = 5.0
_SCORED_AT_ONCE = 8
# What AdamW and Muon keep of each weight; AdamW's count of steps is a single number.
_ADAM, _MUON = ("exp_avg", "exp_avg_sq", "step"), ("momentum",)


class VoxelTrainer:
    """Teaches a network on shapes. ``steps_done`` counts steps. What a step learns from depends on seed and step alone.

    ``mean`` is the network to use: with the mean weights of about the last fifth of all steps.
    """

    def __init__(self, settings: VoxelTrainSettings, shapes: Shapes, device: str, half: bool):
        self.settings, self.shapes, self.device, self.half = settings, shapes, device, half
        torch.manual_seed(settings.seed)
        self.network = new_network(settings.network).to(device)
        self.mean = copy.deepcopy(self.network).requires_grad_(False).eval()
        plain, transposed = matrices(self.network)
        by_muon = {*plain, *transposed}
        rest = [weights for weights in self.network.parameters() if weights not in by_muon]
        # Not Adam: a decay added to gradients wins where these are means over 32³ voxels, and most weights are gone after 1 000 steps.
        adam = torch.optim.AdamW(rest, settings.learning_rate, weight_decay=settings.weight_decay, fused=device in ("cpu", "cuda"))
        self.optimizers = [adam]
        if by_muon:
            self.optimizers.append(Muon([*plain, *transposed], settings.learning_rate, settings.weight_decay, transposed))
        self.steps_done = 0
        self._composer = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        self._coming: dict[int, Future] = {}

    def start_from(self, network: nn.Module) -> None:
        """Takes over the weights of a network of the same kind before the first step."""
        for own in (self.network, self.mean):
            own.load_state_dict(network.state_dict())

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        share = min(step / self.settings.schedule_steps, 1.0)
        rise = min((step + 1) / _RISE, 1.0)
        return self.settings.learning_rate * rise * (_FALL + (1 - _FALL) * (0.5 + 0.5 * math.cos(math.pi * share)))

    def step(self, progress: float = 0.0) -> float:
        """One step. Returns its loss, see :func:`voxel_loss`. The learning rate follows the number of steps, not ``progress``."""
        views, cells = self._batch()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate(self.steps_done)
        with self._numbers():
            logits = self.network(views.to(self.device))
        loss = voxel_loss(logits.float(), cells.to(self.device))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _LONGEST)
        with self._products():
            for optimizer in self.optimizers:
                optimizer.step()
        self.steps_done += 1
        share = 1 - (1 - 1 / self.steps_done) ** _SHORTENS
        torch._foreach_lerp_(list(self.mean.parameters()), list(self.network.parameters()), share)
        return loss.item()

    def score(self, shapes: Shapes, views: int, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """The intersection over union of each shape by its first views, by the mean weights, [N]. What is made of pictures later is a
        little better: prediction.mean_logits takes several times as long.
        """
        scores = []
        with torch.no_grad(), self._numbers():
            for first in range(0, len(shapes), _SCORED_AT_ONCE):
                pictures, cells = scoring_batch(shapes, np.arange(first, min(first + _SCORED_AT_ONCE, len(shapes))), views)
                predicted = full(self.mean(pictures.to(self.device))).cpu()
                scores.append(intersection_over_union(predicted, cells.bool()).numpy())
                if progress is not None:
                    progress(min(first + _SCORED_AT_ONCE, len(shapes)), len(shapes))
        return np.concatenate(scores)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything that a resumed training needs to go on exactly: arrays, and plain values for JSON."""
        arrays = {f"weights.{name}": value for name, value in self.network.state_dict().items()}
        arrays |= {f"mean.{name}": value for name, value in self.mean.state_dict().items()}
        for name, weights in self.network.named_parameters():
            for moment, value in self._moments(weights).items():
                arrays[f"moments.{name}.{moment}"] = value
        return {name: value.detach().cpu().numpy() for name, value in arrays.items()}, {"step": self.steps_done}

    def load_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Takes over what :meth:`state` gave.

        Raises:
            UserError: it is damaged, or of another network.
        """
        known = from_mapping(VoxelFacts, facts)
        arrays = {name: np.atleast_1d(value) for name, value in arrays.items()}
        shapes = {
            f"{kind}{name}": value.shape
            for kind, network in (("weights.", self.network), ("mean.", self.mean))
            for name, value in network.state_dict().items()
        }
        for name, values in self.network.named_parameters() if known.step else ():
            kinds = _ADAM if self._owner(values) is self.optimizers[0] else _MUON
            shapes |= {f"moments.{name}.{kind}": () if kind == "step" else values.shape for kind in kinds}
        held = {name: saved_array(arrays, name, tuple(shape) or (1,)) for name, shape in shapes.items()}
        for kind, network in (("weights.", self.network), ("mean.", self.mean)):
            network.load_state_dict({name: torch.from_numpy(held[f"{kind}{name}"]) for name in network.state_dict()})
        for name, values in self.network.named_parameters():
            moments = {key.rpartition(".")[2]: value for key, value in held.items() if key.startswith(f"moments.{name}.")}
            # Files give Adam's count of steps back as a list of one. Moments lie in memory as their weights do: the fused step (torch 2.13)
            # pairs them up by address.
            self._moments(values).update(
                {
                    key: torch.tensor(value.reshape(()), device=self.device)
                    if key == "step"
                    else torch.empty_like(values, requires_grad=False).copy_(torch.from_numpy(value))
                    for key, value in moments.items()
                }
            )
        self.steps_done = known.step

    def _moments(self, weights: Tensor) -> dict[str, Any]:
        """What the optimizer of some weights keeps of them, to read or to fill."""
        return self._owner(weights).state[weights]

    def _owner(self, weights: Tensor) -> torch.optim.Optimizer:
        (owner,) = (each for each in self.optimizers if any(weights is one for group in each.param_groups for one in group["params"]))
        return owner

    def _batch(self) -> tuple[Tensor, Tensor]:
        """What this step learns from. That of the next is put together meanwhile, in a thread of its own: much of it runs on one core."""
        step = self.steps_done
        coming = self._coming.pop(step, None) or self._composer.submit(self._compose, step)
        self._coming = {step + 1: self._composer.submit(self._compose, step + 1)}
        return coming.result()

    def _compose(self, step: int) -> tuple[Tensor, Tensor]:
        settings = self.settings
        return training_batch(self.shapes, settings.batch, settings.most_views, settings.seed, step, settings.random_backgrounds)

    @contextlib.contextmanager
    def _numbers(self) -> Iterator[None]:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            yield

    @contextlib.contextmanager
    def _products(self) -> Iterator[None]:
        """Muon's products of float32 matrices, too, by the units that multiply bfloat16: half the time."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium" if self.half else before)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def voxel_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """The mean cross entropy of voxels, as published, and a share of what a soft intersection over union lacks to 1.

    The entropy alone leaves thin parts, of which it cannot be sure yet, below every threshold: a chair without legs costs it little.

    Args:
        logits: [B, 2, 32, 32, 32] of empty and full. cells: [B, 32, 32, 32] of 0 and 1.
    """
    full_logit, truth = logits[:, 1] - logits[:, 0], cells.to(logits.dtype)
    chance = full_logit.sigmoid()
    both = (chance * truth).flatten(1).sum(dim=1)
    either = (chance + truth).flatten(1).sum(dim=1) - both
    return F.binary_cross_entropy_with_logits(full_logit, truth) + _OVERLAP * (1 - both / either.clamp(min=1.0)).mean()
