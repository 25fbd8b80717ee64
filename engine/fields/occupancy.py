# SPDX-License-Identifier: GPL-3.0-or-later
"""Where something may be, in cells: what lets rays pass over empty space (Müller et al. 2022, appendix E)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..contract.errors import UserError
from ..data.carving import empty_cells
from ..data.rays import Space
from ..data.views import View
from ..kernels.marching.reference import occupied

DECAY = 0.95
# A cell through which a step is less opaque than this is empty, or than the mean of all cells where that is less.
LEAST_THICKNESS = 0.01
# Cells that nobody has looked at yet, and such as stay empty whatever the field says.
_UNKNOWN, _EXCLUDED = torch.inf, -1.0


class OccupancyGrid:
    """The optical thickness of a step through each cell, as it was when last looked at, and the bits that kernels/marching walks over.

    ``thickness``: [C, N, N, N] float32 with axes x, y, z, cascade c the cube [-2^c, 2^c]^3. ``bits``: see kernels/marching.
    """

    def __init__(self, step: float, cells: int = 64, cascades: int = 1, device: str = "cpu"):
        self.step = step
        self.thickness = torch.full((cascades, cells, cells, cells), _UNKNOWN, device=device)
        self._prepare()

    @property
    def occupied(self) -> Tensor:
        """[C, N, N, N] bool."""
        mask = torch.zeros(self.thickness.shape, dtype=torch.bool, device=self.thickness.device)
        mask.view(-1)[self._allowed[self._full]] = True
        return mask

    @property
    def count(self) -> int:
        """How many cells are occupied."""
        return int(self._full.sum())

    def exclude(self, cascade: int, cells: Tensor) -> None:
        """Has cells of a cascade, [N, N, N] bool, stay empty for good, such as those that no camera sees."""
        self.thickness[cascade][cells] = _EXCLUDED
        self._prepare()

    def exclude_empty(self, space: Space, views: Sequence[View]) -> None:
        """Has cells stay empty that views show to be empty, or do not show.

        Raises:
            UserError: those are all.
        """
        for cascade, cells in enumerate(self.thickness):
            centers = torch.from_numpy(space.to_world(self.centers(cascade).reshape(-1, 3).cpu().numpy()))
            empty = empty_cells(centers, 2.0 ** (cascade + 1) / len(cells) * space.radius, views)
            self.exclude(cascade, empty.view(cells.shape).to(cells.device))
        if not len(self._allowed):
            hint = "Check the alpha of the pictures, and the cameras."
            raise UserError("The views' transparency leaves no place where anything could be.", hint)

    def centers(self, cascade: int) -> Tensor:
        """The middles of a cascade's cells, [N, N, N, 3]."""
        cells = self.thickness.shape[1]
        axis = (torch.arange(cells, device=self.thickness.device) + 0.5) * (2 / cells) - 1
        return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1) * 2.0**cascade

    def holds(self, places: Tensor) -> Tensor:
        """Whether places [P, 3] lie in occupied cells, [P] bool; False outside the grid."""
        cascades, cells = self.thickness.shape[:2]
        reach = places.abs().amax(1)
        cascade = torch.log2(reach.clamp(min=1e-9)).ceil().clamp(0, cascades - 1).long()
        local = (places * torch.pow(2.0, -cascade.to(places.dtype))[:, None] + 1) * (cells / 2)
        cell = local.floor().clamp(0, cells - 1).long()
        return occupied(self.bits, cascade, cell) & (reach <= 2.0 ** (cascades - 1))

    def only_where_occupied(
        self, density: Callable[[Tensor], Tensor], scale: float = 1.0, shift: Tensor | float = 0.0
    ) -> Callable[[Tensor], Tensor]:
        """The same density, 0 and not asked for outside occupied cells; its places times ``scale`` plus ``shift`` are the grid's."""

        def masked(places: Tensor) -> Tensor:
            found = places.new_zeros(len(places))
            inside = torch.nonzero(self.holds(places * scale + shift))[:, 0]
            if len(inside):
                found[inside] = density(places[inside])
            return found

        return masked

    def update(self, density: Callable[[Tensor], Tensor], rng: np.random.Generator, count: int) -> None:
        """Looks at cells anew: each at a random place in it.

        Args:
            density: from places [P, 3] float32 to densities [P].
            rng: the source of randomness.
            count: at how many, all of them where it is that much; else half of them any cells, half occupied ones.
        """
        flat = self.thickness.view(-1)
        device, cells = flat.device, self.thickness.shape[1]
        decay = DECAY
        if count >= len(self._allowed):
            chosen = self._allowed
        else:
            # Cells that are looked at less often forget as fast.
            decay **= len(self._allowed) / count
            parts = []
            for some, number in ((self._allowed, count // 2), (self._allowed[self._full], count - count // 2)):
                if len(some):
                    parts.append(some[torch.from_numpy(rng.integers(0, len(some), number)).to(device)])
            # In the order of space, which caches like.
            chosen = torch.cat(parts).sort()[0]
        if not len(chosen):
            return
        rest = chosen
        index = []
        for _ in range(3):
            index.append(rest % cells)
            rest = rest // cells
        corner = torch.stack(index[::-1], dim=-1)
        offset = torch.from_numpy(rng.random((len(chosen), 3), np.float32)).to(device)
        places = ((corner + offset) * (2 / cells) - 1) * torch.pow(2.0, rest.float())[:, None]
        found = density(places) * self.step
        before = flat[chosen]
        flat[chosen] = torch.where(before.isinf(), 0, before * decay)
        flat.scatter_reduce_(0, chosen, found.to(flat.dtype), "amax")
        self._pack()

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        return {"thickness": self.thickness.cpu().numpy()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what :meth:`state` gave."""
        self.thickness = torch.from_numpy(arrays["thickness"].copy()).to(self.thickness.device)
        self._prepare()

    def _prepare(self) -> None:
        """What follows from which cells are excluded."""
        self._allowed = torch.nonzero(self.thickness.view(-1) >= 0)[:, 0]
        self._bytes, self._weights = self._allowed >> 3, torch.ones_like(self._allowed, dtype=torch.uint8) << (self._allowed & 7).byte()
        self.bits = self.thickness.new_zeros((*self.thickness.shape[:3], self.thickness.shape[3] // 8), dtype=torch.uint8)
        self._pack()

    def _pack(self) -> None:
        """The bits of the cells' thickness."""
        thickness = self.thickness.view(-1)[self._allowed]
        known = thickness[thickness.isfinite()]
        mean = float(known.mean()) if known.numel() else 0.0
        self._full = thickness > min(LEAST_THICKNESS, mean)
        self.bits.zero_().view(-1).index_add_(0, self._bytes, self._weights * self._full)
