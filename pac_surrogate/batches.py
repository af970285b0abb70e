"""What a stack of runs trains on: datasets of several lengths as one tensor, whole or in minibatches."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from pac_surrogate.dataset import Dataset

Batch = tuple[Tensor, Tensor, Tensor]
"""Inputs (run, sample, input), outputs (run, sample, output), and each sample's share of its run's mean (run, sample)."""


class PaddedData:
    """Datasets of several lengths as one tensor; padding rows have share 0 of their run's mean.

    Runs that share a dataset share its memory until a batch is drawn.
    """

    def __init__(self, datasets: Sequence[Dataset], dtype: torch.dtype, device: torch.device) -> None:
        distinct = {id(data): data for data in datasets}
        position = {key: i for i, key in enumerate(distinct)}
        self.lengths = [len(data) for data in datasets]
        self.which = torch.tensor([position[id(data)] for data in datasets], device=device)
        lengths = torch.tensor([len(data) for data in distinct.values()], device=device)
        rows = int(lengths.max())

        def padded(matrices: list[np.ndarray]) -> Tensor:
            tensor = torch.zeros(len(matrices), rows, matrices[0].shape[1], dtype=dtype)
            for i, matrix in enumerate(matrices):
                tensor[i, : len(matrix)] = torch.as_tensor(np.ascontiguousarray(matrix))
            return tensor.to(device)

        self.x = padded([data.input_matrix for data in distinct.values()])
        self.y = padded([data.output_matrix for data in distinct.values()])
        inside = torch.arange(rows, device=device) < lengths[:, None]
        self.share = inside.to(dtype) / lengths[:, None].to(dtype)

    def batches(self, seeds: Sequence[int], batch_size: int | None, steps: int, *, first: int = 0) -> Iterator[Batch]:
        """One batch a step: all samples, or each run's own minibatches from step `first` on."""
        if batch_size is None or all(length <= batch_size for length in self.lengths):
            whole = self.whole(slice(None))
            for _ in range(steps):
                yield whole
            return
        block = 256  # steps whose order is drawn at once
        for done in range(0, steps, block):
            count = min(block, steps - done)
            order = torch.stack(
                [
                    minibatch_order(seed, rows, batch_size, count, first=first + done)
                    for seed, rows in zip(seeds, self.lengths, strict=True)
                ]
            ).to(self.x.device)
            share = torch.full((len(seeds), batch_size), 1.0 / batch_size, dtype=self.x.dtype, device=self.x.device)
            for step in range(count):
                rows, which = order[:, step], self.which[:, None]
                yield self.x[which, rows], self.y[which, rows], share

    def whole(self, rows: slice) -> Batch:
        """These rows of every run."""
        return self.x[self.which, rows], self.y[self.which, rows], self.share[self.which, rows]


def minibatch_order(seed: int, rows: int, batch_size: int, steps: int, *, first: int = 0) -> Int[Tensor, "step batch"]:
    """Which rows each step sees: the epochs' permutations end to end, cut into batches of one size.

    An epoch's permutation depends on the seed and its number alone, so training can go on from any step.
    """
    begin, end = first * batch_size, (first + steps) * batch_size
    epochs = range(begin // rows, -(-end // rows))
    stream = np.concatenate([np.random.default_rng((seed, epoch)).permutation(rows) for epoch in epochs])
    offset = begin - epochs[0] * rows
    return torch.as_tensor(stream[offset : offset + end - begin]).view(steps, batch_size)
