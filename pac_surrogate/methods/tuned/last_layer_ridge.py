"""A new fit of the readout on the source's last features, in closed form."""

import dataclasses
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.files import Variable
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.methods.tuned.linear_probe import readout_plan
from pac_surrogate.models import evaluate
from pac_surrogate.plan import Plan
from pac_surrogate.predictors import Network
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings

SPACE = ("x", "y")


@settings
class LastLayerRidge:
    """Solve the Plan of `LinearProbe` in closed form: ridge regression towards the source's readout, with a free bias.

        W = (P'P + l I)^-1 (P'Y + l W_S),   l = n outputs strength / 2

    P (row, feature) holds the last hidden features and Y the target, both centred, which is equivalent to a free bias. A row is
    a sample, or for a CNN a sample at a grid point. A new readout has W_S = 0; strength 0 gives the least squares solution
    nearest to W_S.

    Args:
        strength: strength of the pull of the readout's weights, not of its bias, towards the source's.
    """

    strength: NotNegative = 0.1

    def adapt(self, case: Case) -> Surrogate:
        """Fit the readout in float64.

        Raises:
            NotApplicableError: if the model's prediction is not its readout applied to its last feature.
        """
        surrogate = case.for_target()
        plan = readout_plan(surrogate, self.strength)
        return case.answer(surrogate, minimiser(surrogate, plan, surrogate.scaling.standardise(case.target)))


def minimiser(surrogate: Surrogate, plan: Plan, data: Dataset) -> Network:
    """Return the network that minimises a `readout_plan` over standardised samples, in float64; see `last_rows` for errors."""
    network = surrogate.network
    if len(data) == 0:
        return network
    x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
    features, target, before = last_rows(surrogate, x, y)
    name, bias_name = f"{surrogate.readout}.weight", f"{surrogate.readout}.bias"
    # The Plan has the mean over samples and outputs, the problem below their sum; the strength carries the factor 1/2.
    pull = 0.5 * float(plan.strength[name]) * y.numel()
    centred, residual = (values - values.mean(0) for values in (features, target - before))
    # The ridge enters as rows of the least squares problem: normal equations would square the condition number.
    rows = torch.cat([centred, pull**0.5 * torch.eye(features.shape[1], dtype=torch.float64)])
    aim = torch.cat([residual, torch.zeros(features.shape[1], target.shape[1], dtype=torch.float64)])
    change = torch.linalg.lstsq(rows, aim, driver="gelsd").solution.T
    bias = (target - before - features @ change.T).mean(0)
    weights = dict(network.weights)
    weights[name] = (plan.anchor[name].double().flatten(1) + change).reshape(weights[name].shape).to(network.dtype)
    weights[bias_name] = (weights[bias_name].double() + bias).to(network.dtype)
    return dataclasses.replace(network, weights=weights)


def last_rows(
    surrogate: Surrogate, x: Float[Tensor, "sample input"], y: Float[Tensor, "sample output"]
) -> tuple[Float[Tensor, "row feature"], Float[Tensor, "row channel"], Float[Tensor, "row channel"]]:
    """Return last features, target and prediction in float64, with a row for every application of the readout.

    Raises:
        NotApplicableError: if the readout applied to the last features does not give the prediction.
    """
    network, readout = surrogate.network, surrogate.readout
    weights = {name: weight.double() for name, weight in network.weights.items()}
    with torch.no_grad():
        prediction, features = evaluate(network.module, weights, x)
    weight, bias = weights.get(f"{readout}.weight"), weights.get(f"{readout}.bias")
    if weight is not None and bias is not None and features and math.prod(weight.shape[2:]) == 1:
        last = features[-1].flatten(2).mT.flatten(0, 1) if features[-1].ndim > 2 else features[-1]
        grid = features[-1].shape[2:]
        if last.ndim == 2 and last.shape[1] == weight.shape[1] and len(last) * len(weight) == y.numel():
            target, before = (to_rows(values, surrogate.outputs, on_grid=bool(grid)) for values in (y, prediction))
            read = last @ weight.flatten(1).T + bias
            # Rounding errors in float64 are far below this tolerance, the differences of another function far above.
            if read.shape == before.shape and bool((read - before).abs().max() <= 1e-9 * (1 + before.abs().max())):
                return last, target, before
    raise NotApplicableError(
        f"LastLayerRidge needs a model whose prediction is weight @ last feature + bias of its readout {readout!r}; this "
        f"{type(network.module).__name__}'s is not: return the readout's input as the last feature"
    )


def to_rows(
    values: Float[Tensor, "sample output"], outputs: Sequence[Variable], *, on_grid: bool
) -> Float[Tensor, "row channel"]:
    """Return outputs with a row for each sample, or for each sample and grid point; axes other than space become channels."""
    if not on_grid:
        return values
    parts = []
    for variable, columns in zip(outputs, values.split([v.size for v in outputs], dim=1), strict=True):
        order = sorted(range(len(variable.axes)), key=lambda a: variable.axes[a] not in SPACE)
        field = columns.unflatten(1, variable.shape).permute(0, *(1 + a for a in order))
        points = math.prod(n for axis, n in zip(variable.axes, variable.shape, strict=True) if axis in SPACE)
        parts.append(field.reshape(len(values) * points, -1))
    return torch.cat(parts, dim=1)
