"""The rows of heads that train together, one head after the other, on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from fusion.models.late_input import LateInput
from fusion.models.training import HeadData


@dataclasses.dataclass(frozen=True)
class HeadRows:
    """The rows of all heads.

    Attributes:
        shown: Per modality (all rows, width), zeros in rows that lack it; those of files a head.
        mask: Whether a row has each modality; bool (all rows, modalities).
        y: Outcomes; (all rows,).
        weights: Of the rows; a patient's sum to the same within a head.
        starts: First row of each head, and the end.
    """

    shown: dict[str, Tensor | list[LateInput]]
    mask: Tensor
    y: Tensor
    weights: Tensor
    starts: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[HeadData], device: torch.device) -> Self:
        """Lays the rows of heads one after the other, once."""

        def shown(name: str) -> Tensor | list[LateInput]:
            late = [x for part in parts if isinstance(x := part.inputs[name], LateInput)]
            if late:
                return [one.to(device) for one in late]
            tensors = [
                x.where(part.present[name][:, None], 0.0)
                for part in parts
                if isinstance(x := part.inputs[name], Tensor)
            ]
            return torch.cat(tensors).to(device)

        names = list(parts[0].inputs)
        masks = [torch.stack([part.present[n] for n in names], dim=-1) for part in parts]
        return cls(
            {name: shown(name) for name in names},
            torch.cat(masks).to(device),
            torch.cat([part.y for part in parts]).to(device),
            torch.cat([part.row_weights() for part in parts]).to(device),
            np.cumsum([0, *(len(part) for part in parts)]),
        )

    def take(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
        """What is shown, mask, outcomes and weights of rows; an integer index (heads, n)."""
        flat = rows.flatten()
        shown = {
            name: x.index_select(0, flat).view(*rows.shape, -1)
            if isinstance(x, Tensor)
            else self._read(x, rows)
            for name, x in self.shown.items()
        }
        mask = self.mask.index_select(0, flat).view(*rows.shape, -1)
        return shown, mask, self.y[rows], self.weights[rows]

    def _read(self, parts: Sequence[LateInput], rows: Tensor) -> Tensor:
        """Rows (heads, n) of files, zeros in those that lack the modality; (heads, n, width)."""
        found = []
        for own in rows.cpu():
            place = int(np.searchsorted(self.starts, int(own[0]), side="right")) - 1
            found.append(parts[place][own - int(self.starts[place])].read())
        return torch.stack(found)
