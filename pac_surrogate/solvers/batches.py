"""The data of a stack of runs: datasets of several lengths as one tensor, with all samples or minibatches in each step."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from pac_surrogate.data.dataset import Dataset

Batch = tuple[Tensor, Tensor, Tensor]
"""Inputs (run, sample, input), outputs (run, sample, output), and each sample's weight in its run's mean (run, sample)."""


class PaddedData:
    """Datasets of several lengths as one tensor; padding rows have weight 0 in their run's mean.

    A dataset that several runs share is stored once; batches are copies for each run.
    """

    def __init__(self, datasets: Sequence[Dataset], dtype: torch.dtype, device: torch.device) -> None:
        position = {data: i for i, data in enumerate(dict.fromkeys(datasets))}
        self.lengths = [len(data) for data in datasets]
        self.which = torch.tensor([position[data] for data in datasets], device=device)
        self.widths = list(datasets[0].widths)
        lengths = torch.tensor([len(data) for data in position])
        # Inputs and outputs are columns of one table, so that a minibatch is drawn by one call.
        table = torch.zeros(len(position), int(lengths.max()), sum(self.widths), dtype=dtype)
        for data, i in position.items():
            for columns, matrix in zip(table[i].split(self.widths, 1), (data.input_matrix, data.output_matrix), strict=True):
                columns[: len(data)] = torch.as_tensor(np.ascontiguousarray(matrix))
        self.table = table.to(device)
        inside = torch.arange(table.shape[1]) < lengths[:, None]
        self.sample_weight = (inside.to(dtype) / lengths[:, None].to(dtype)).to(device)

    def batches(self, seeds: Sequence[int], batch_size: int | None, steps: int) -> Iterator[Batch]:
        """Yield one batch per step: all samples, or each run's own minibatches."""
        if batch_size is None or all(length <= batch_size for length in self.lengths):
            whole = self.whole(slice(None))
            for _ in range(steps):
                yield whole
            return
        block = 256  # number of steps whose order is drawn at once
        sample_weight = torch.full((len(seeds), batch_size), 1.0 / batch_size, dtype=self.table.dtype, device=self.table.device)
        for done in range(0, steps, block):
            count = min(block, steps - done)
            orders = (
                minibatch_order(seed, rows, batch_size, count, first=done)
                for seed, rows in zip(seeds, self.lengths, strict=True)
            )
            order = torch.stack(list(orders), dim=1).to(self.table.device) + (self.which * self.table.shape[1])[:, None]
            for rows in order:
                drawn = self.table.flatten(0, 1).index_select(0, rows.flatten())
                x, y = drawn.unflatten(0, rows.shape).split(self.widths, -1)
                yield x, y, sample_weight

    def whole(self, rows: slice) -> Batch:
        """Return these rows of every run."""
        x, y = (part.contiguous() for part in self.table[self.which, rows].split(self.widths, -1))
        return x, y, self.sample_weight[self.which, rows]


def minibatch_order(seed: int, rows: int, batch_size: int, steps: int, *, first: int = 0) -> Int[Tensor, "step batch"]:
    """Return the rows that each step uses: the permutations of successive epochs, concatenated and cut into equal batches.

    An epoch's permutation depends on the seed and its number alone, so the order from step `first` on is known without those
    before it.
    """
    begin, end = first * batch_size, (first + steps) * batch_size
    epochs = range(begin // rows, -(-end // rows))
    stream = np.concatenate([np.random.default_rng((seed, epoch)).permutation(rows) for epoch in epochs])
    offset = begin - epochs[0] * rows
    return torch.as_tensor(stream[offset : offset + end - begin]).view(steps, batch_size)
