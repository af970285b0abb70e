"""Tangent kernels of a network: the covariance of its linearised outputs at some samples under a Gaussian prior on the weights.

With J(x) the Jacobian of the outputs at the initial weights and D the prior's variance of each weight,

    block    K[(i, o), (j, p)] = J_o(x_i) D J_p(x_j)'                      exact, (samples x outputs)^2
    shared   k[i, j] = mean over o of  J_o(x_i) D J_o(x_j)'                samples^2, for any number of outputs

The readout's part of the shared kernel is computed exactly from the features that the readout reads. The body's part is
estimated by the mean of (v'J) D (v'J)' / outputs over `projections` random v, v_o = +-1, whose expectation it is; if there are
no more outputs than projections, it is exact too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.kernels.jacobian import along, output_jacobian, pullback
from pac_surrogate.kernels.readout import NUMBERS, Readout
from pac_surrogate.models import evaluate
from pac_surrogate.models.mlp import MLPNetwork
from pac_surrogate.models.weights import Weights
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.process import threads_for

PROJECTIONS = 12
KERNEL_ROWS = 4000  # above this, a kernel does not fit into memory or takes minutes

Piece = tuple[slice, Tensor, Tensor | None]  # rows of a kernel, their samples, and projections of the outputs


@dataclass(frozen=True, eq=False, repr=False)
class Tangent(Shown):
    """A model and the weights at which it is linearised; float64, on the same device as the samples and the priors.

    Attributes:
        model: the module.
        start: weights at which it is linearised.
        readout: name of its readout module.
    """

    model: nn.Module
    start: Weights
    readout: str

    def block(
        self,
        variances: Sequence[Mapping[str, Tensor]],
        a: Float[Tensor, "sample input"],
        b: Float[Tensor, "other input"] | None = None,
    ) -> list[Float[Tensor, "row column"]]:
        """Compute the block kernels of several priors between samples a and b (by default a); rows are (sample, output).

        The derivatives at b are computed once if they fit into memory, the derivatives at a for a few samples at a time.
        """
        outputs = self._outputs(a)
        size = (len(a) * outputs, len(a if b is None else b) * outputs)
        kernels = [torch.zeros(size, dtype=torch.float64, device=a.device) for _ in variances]
        direct = self._readout.positions(a) == 1
        for rows, left, columns, right in self._readout.pairs(a, b) if direct else ():
            for kernel, variance in zip(kernels, variances, strict=True):
                for part in self._readout.parts(variance, left, right):  # outputs do not share weights of the readout
                    apart = kernel.view(len(a), outputs, -1, outputs)[rows, :, columns].diagonal(dim1=1, dim2=3)
                    apart += part.permute(1, 2, 0)
        for group in self._groups(self._body(variances, direct), size[1]):
            numbers = sum(self.start[name].numel() for name in group)
            pieces = [list(_pieces(x, outputs, NUMBERS // numbers)) for x in ((a,) if b is None else (a, b))]
            for rows, columns, products in self._products(variances, group, *pieces):
                for kernel, product in zip(kernels, products, strict=True):
                    kernel[rows, columns] += product
                    if b is None and rows != columns:
                        kernel[columns, rows] += product.T
        return kernels

    def shared(
        self,
        variances: Sequence[Mapping[str, Tensor]],
        a: Float[Tensor, "sample input"],
        b: Float[Tensor, "other input"] | None = None,
        *,
        projections: int = PROJECTIONS,
        seed: int = 0,
    ) -> list[Float[Tensor, "sample other"]]:
        """Compute the shared kernels of several priors between samples a and b (by default a); see `block`."""
        size = (len(a), len(a if b is None else b))
        kernels = [torch.zeros(size, dtype=torch.float64, device=a.device) for _ in variances]
        direct = self._readout.positions(a) is not None
        for rows, left, columns, right in self._readout.pairs(a, b) if direct else ():
            for kernel, variance in zip(kernels, variances, strict=True):
                for (part,) in self._readout.parts(variance, left, right, mean=True):
                    kernel[rows, columns] += part
        mix, scale = self._mix(a, projections, seed)
        names = self._body(variances, direct)
        numbers = sum(self.start[name].numel() for name in names)
        for some in mix.split(max(1, NUMBERS // max(1, size[1] * numbers))) if names else ():
            fitting = max(1, NUMBERS // (len(some) * numbers))
            pieces = [
                [(slice(i, min(i + fitting, len(x))), x[i : i + fitting], some) for i in range(0, len(x), fitting)]
                for x in ((a,) if b is None else (a, b))
            ]
            for rows, columns, products in self._products(variances, names, *pieces, summed=True):
                for kernel, product in zip(kernels, products, strict=True):
                    kernel[rows, columns] += scale * product
                    if b is None and rows != columns:
                        kernel[columns, rows] += scale * product.T
        return kernels

    def block_diagonals(
        self, variances: Sequence[Mapping[str, Tensor]], x: Float[Tensor, "sample input"]
    ) -> list[Float[Tensor, "sample output"]]:
        """Compute the diagonals of the block kernels of several priors."""
        direct = self._readout.positions(x) == 1
        totals = self._squares(variances, self._body(variances, direct), x, None)
        if direct:
            totals = [t + part for t, part in zip(totals, self._readout.diagonals(variances, x), strict=True)]
        return totals

    def shared_diagonals(
        self, variances: Sequence[Mapping[str, Tensor]], x: Float[Tensor, "sample input"], *, projections: int, seed: int
    ) -> list[Float[Tensor, " sample"]]:
        """Compute the diagonals of the shared kernels of several priors."""
        direct = self._readout.positions(x) is not None
        mix, scale = self._mix(x, projections, seed)
        totals = [scale * t.sum(1) for t in self._squares(variances, self._body(variances, direct), x, mix)]
        if direct:
            parts = self._readout.diagonals(variances, x, mean=True)
            totals = [t + part[:, 0] for t, part in zip(totals, parts, strict=True)]
        return totals

    def along(self, x: Float[Tensor, "sample input"], change: Mapping[str, Tensor]) -> Float[Tensor, "sample output"]:
        """Return J(x) change, the derivative of the outputs in a direction of the weights."""
        return along(self.model, self.start, x, change)

    def back(self, x: Float[Tensor, "sample input"], residual: Float[Tensor, "sample output"]) -> Weights:
        """Return J(x)' residual, the transpose of `along`."""
        with torch.no_grad():
            return dict(pullback(self.model, self.start, x)[1](residual)[0])

    def predict(self, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
        """Return f(x; start)."""
        return evaluate(self.model, self.start, x)[0]

    @cached_property
    def _readout(self) -> Readout:
        return Readout(self.model, self.start, self.readout)

    def _outputs(self, x: Float[Tensor, "sample input"]) -> int:
        return self.predict(x[:1]).shape[1]

    def _mix(self, x: Float[Tensor, "sample input"], projections: int, seed: int) -> tuple[Float[Tensor, "row output"], float]:
        """Return random projections of the outputs, and the factor of the sum over them."""
        outputs = self._outputs(x)
        mix = mixes(outputs, projections, seed).to(x.device)
        return mix, 1 / (outputs if outputs <= projections else outputs * projections)

    def _body(self, variances: Sequence[Mapping[str, Tensor]], direct: bool) -> list[str]:
        """Return the tensors with prior variance, without the readout's if its part is computed from the features."""
        varied = [name for name in self.start if any(bool((v[name] > 0).any()) for v in variances)]
        return [name for name in varied if not (direct and name.startswith(f"{self.readout}."))]

    def _groups(self, names: Sequence[str], rows: int) -> list[list[str]]:
        """Group the tensors by which the outputs are differentiated together, as long as the derivatives fit into memory."""
        groups: list[list[str]] = []
        for name in names:
            held = sum(self.start[other].numel() for other in groups[-1]) if groups else 0
            if groups and rows * (held + self.start[name].numel()) <= NUMBERS:
                groups[-1].append(name)
            else:
                groups.append([name])
        return groups

    def _products(
        self,
        variances: Sequence[Mapping[str, Tensor]],
        names: Sequence[str],
        a: Sequence[Piece],
        b: Sequence[Piece] | None = None,
        *,
        summed: bool = False,
    ) -> Iterator[tuple[slice, slice, list[Tensor]]]:
        """Yield J D J' of each prior for all pairs of pieces; without b, for one of each pair of pieces of a and its mirror."""
        for j, (columns, x, mix) in enumerate(a if b is None else b):
            right = self._rows(x, names, mix, summed)
            for i, (rows, other, own) in enumerate(a):
                if b is None and i > j:
                    break
                left = right if b is None and i == j else self._rows(other, names, own, summed)
                with threads_for(2.0 * len(next(iter(left.values()))) * sum(part.numel() for part in right.values())):
                    products = _weighted(variances, left, right)
                yield rows, columns, products

    def _rows(self, x: Tensor, names: Sequence[str], mix: Tensor | None, summed: bool) -> Weights:
        """Return derivatives, (row, weight); `summed` makes one row per sample, so that products sum over the projections."""
        pieces = list(self._jacobian(x, names, mix))
        found = {name: torch.cat([piece[name].flatten(1) for piece in pieces]) for name in names}
        return found if summed else {name: rows.reshape(-1, self.start[name].numel()) for name, rows in found.items()}

    def _squares(
        self, variances: Sequence[Mapping[str, Tensor]], names: Sequence[str], x: Tensor, mix: Tensor | None
    ) -> list[Float[Tensor, "sample row"]]:
        """Return the sum of D J^2 over these tensors, for each prior."""
        if not names:
            return [x.new_zeros(len(x), self._outputs(x) if mix is None else len(mix)) for _ in variances]
        columns = {name: torch.stack([variance[name].flatten() for variance in variances], dim=1) for name in names}
        fitting = max(1, NUMBERS // sum(self.start[name].numel() for name in names))
        if mix is None and self._outputs(x) > fitting:  # the derivatives of one sample do not fit
            mix = torch.eye(self._outputs(x), dtype=torch.float64, device=x.device)
        found = []
        for some in (None,) if mix is None else mix.split(fitting):
            pieces = self._jacobian(x, names, some)
            found.append(
                torch.cat([torch.stack([rows[n].flatten(2).square() @ columns[n] for n in names]).sum(0) for rows in pieces])
            )
        return list(torch.cat(found, dim=1).unbind(2))

    def _jacobian(self, x: Tensor, names: Sequence[str], mix: Tensor | None) -> Iterator[Weights]:
        """Yield derivatives of the outputs, or of projections of them."""
        if mix is None or not isinstance(self.model, MLPNetwork):
            return output_jacobian(self.model, self.start, x, names, mix)
        # Projected outputs are the outputs of a projected readout, so that the cost does not depend on the number of outputs.
        combined = {name: mix @ self.start[name] for name in self.start if name.startswith(f"{self.readout}.")}
        return output_jacobian(self.model, {**self.start, **combined}, x, names)


def mixes(outputs: int, projections: int, seed: int) -> Float[Tensor, "row output"]:
    """Draw rows of +-1 that project the outputs, or return the unit vectors if there are few outputs; float64."""
    if outputs <= projections:
        return torch.eye(outputs, dtype=torch.float64)
    signs = torch.randint(2, (projections, outputs), generator=torch.Generator().manual_seed(seed))
    return signs.double() * 2 - 1


def _pieces(x: Float[Tensor, "sample input"], outputs: int, rows: int) -> Iterator[Piece]:
    """Cut the rows (sample, output) of a block kernel into pieces of at most `rows`: complete samples, or outputs of one."""
    if outputs <= rows:
        for i in range(0, len(x), rows // outputs):
            some = x[i : i + rows // outputs]
            yield slice(i * outputs, (i + len(some)) * outputs), some, None
        return
    eye = torch.eye(outputs, dtype=torch.float64, device=x.device)
    for i in range(len(x)):
        for mix in eye.split(max(1, rows)):
            first = i * outputs + int(mix[0].argmax())
            yield slice(first, first + len(mix)), x[i : i + 1], mix


def _weighted(variances: Sequence[Mapping[str, Tensor]], left: Weights, right: Weights) -> list[Tensor]:
    """Return left D right' for each prior, summed over tensors; priors that are constant on a tensor share its product."""
    size = [len(next(iter(rows.values()))) for rows in (left, right)]
    found = [next(iter(left.values())).new_zeros(size) for _ in variances]
    for name, rows in left.items():
        plain = None
        for i, variance in enumerate(variances):
            own = variance[name].flatten()
            if bool((own == own[0]).all()):
                if bool(own[0] > 0):
                    plain = rows @ right[name].T if plain is None else plain
                    found[i] = found[i] + own[0] * plain
            else:
                found[i] = found[i] + (rows * own.repeat(rows.shape[1] // len(own))) @ right[name].T
    return found
