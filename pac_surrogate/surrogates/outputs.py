"""Surrogates for other outputs, or for data that vary a quantity which the source held constant."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import match_columns, same_shape
from pac_surrogate.data.scaling import Scaling, fit_new_outputs, fit_scaling, scaled_for
from pac_surrogate.files import Variable
from pac_surrogate.files.variables import UNBOUNDED, Bounds
from pac_surrogate.models.weights import inside
from pac_surrogate.predictors import Network, build_network
from pac_surrogate.surrogates.layout import same_variables
from pac_surrogate.surrogates.surrogate import Surrogate


def with_outputs_of(surrogate: Surrogate, data: Dataset) -> Surrogate:
    """Give a surrogate the outputs of other data.

    Known outputs keep their readout and scaling; new ones start with a readout of 0 and are scaled by the data. A surrogate
    that has these outputs already is returned unchanged.

    Raises:
        ValueError: if the network cannot be rebuilt, or there are no samples by which new outputs can be scaled.
    """
    if same_variables(surrogate.outputs, data.outputs):
        return surrogate
    columns, rows = _known_places(surrogate.network.module, surrogate.outputs, data.outputs)
    new = torch.tensor(columns) < 0
    if len(data) == 0 and bool(new.any()):
        raise ValueError("outputs that the source lacks need at least one target sample")
    known = surrogate.network.new_readout or bool(new.any())
    predictor = _with_rows(surrogate, data.outputs, rows, new_readout=known)
    outputs = surrogate.scaling.outputs.pick(torch.tensor(columns).clamp_min(0))
    outputs = fit_new_outputs(data).where(new, outputs) if bool(new.any()) else outputs
    scaling = Scaling(surrogate.scaling.inputs, outputs)
    variables = bounded_as(data.outputs, surrogate.outputs)
    return dataclasses.replace(surrogate, predictor=predictor, scaling=scaling, outputs=variables)


def with_columns(surrogate: Surrogate, columns: Sequence[int], outputs: tuple[Variable, ...]) -> Surrogate:
    """Return a surrogate of some columns of its outputs, in this order, which form the variables `outputs`.

    The outputs keep their readout and scaling. A surrogate of which all columns are wanted is returned unchanged.

    Raises:
        ValueError: if the readout cannot be divided: a network that makes fields by channels keeps or loses them as a whole,
            and of a module of the user's own the rows of the readout are not known.
    """
    module = surrogate.network.module
    if list(columns) == list(range(sum(variable.size for variable in surrogate.outputs))):
        return surrogate
    rows_of: Any = getattr(module, "rows_of", None)
    names = ", ".join(variable.name for variable in outputs)
    if rows_of is None:
        raise ValueError(
            f"the readout of a module of your own cannot be restricted to {names}: leave incomplete samples out with "
            "missing='drop', or give the module the function rows_of"
        )
    rows = list(columns)
    if any(rows_of(variable) != variable.size for variable in surrogate.outputs):
        known, rows = _known_places(module, surrogate.outputs, outputs)
        if known != list(columns):
            raise ValueError(
                f"samples must lack a field of a convolutional network as a whole, they lack some points of {names}: mask the "
                "complete field of these samples, or leave them out with missing='drop'"
            )
    predictor = _with_rows(surrogate, outputs, rows, new_readout=False)
    scaling = Scaling(surrogate.scaling.inputs, surrogate.scaling.outputs.pick(torch.tensor(columns)))
    return dataclasses.replace(surrogate, predictor=predictor, scaling=scaling, outputs=outputs)


def _with_rows(surrogate: Surrogate, outputs: tuple[Variable, ...], rows: Sequence[int], *, new_readout: bool) -> Network:
    """Return the network with other outputs, whose readout has these rows of its own readout, and zeros where a row is -1."""
    network = surrogate.network
    fresh = build_network(network.architecture, surrogate.inputs, outputs)
    readout = fresh.module.readout_name
    weights, essential = {}, {}
    for name, weight in fresh.module.named_parameters():
        if not name.startswith(f"{readout}."):
            weights[name] = network.weights[name]
            if network.essential is not None:
                essential[name] = network.essential[name]
            continue
        weights[name] = torch.zeros_like(weight, dtype=network.dtype).detach()
        # The source knows no weight of a new output, so none of them is essential and all are free to train.
        mask = torch.zeros_like(weight, dtype=torch.bool)
        for place, row in enumerate(rows):
            if row >= 0:
                weights[name][place] = network.weights[name][row]
                if network.essential is not None:
                    mask[place] = network.essential[name][row]
        if network.essential is not None:
            essential[name] = mask
    return dataclasses.replace(fresh, weights=weights, essential=essential or None, new_readout=new_readout)


def bounded_as(variables: Sequence[Variable], others: Sequence[Variable]) -> tuple[Variable, ...]:
    """Return outputs; those without bounds have those of the outputs that they match, see `matched_bounds`."""
    found = matched_bounds("outputs", variables, others)
    return tuple(
        dataclasses.replace(variable, bounds=bounds) if variable.bounds == UNBOUNDED and bounds != UNBOUNDED else variable
        for variable, bounds in zip(variables, found, strict=True)
    )


def matched_bounds(side: str, variables: Sequence[Variable], others: Sequence[Variable]) -> list[Bounds]:
    """Return for each variable of a side the bounds that others state for it, open where it has no match among them.

    The columns are matched by `match_columns`. A variable that matches several others by position has the closest bounds that
    contain those of all of them.
    """
    columns = match_columns(side, others, variables)
    owner = np.repeat(np.arange(len(others)), [other.size for other in others])
    found: list[Bounds] = []
    first = 0
    for variable in variables:
        own, first = columns[first : first + variable.size], first + variable.size
        stated = [others[place].bounds for place in np.unique(owner[own])] if (own >= 0).all() else [UNBOUNDED]
        lows, highs = [low for low, _ in stated if low is not None], [high for _, high in stated if high is not None]
        low, high = min(lows) if len(lows) == len(stated) else None, max(highs) if len(highs) == len(stated) else None
        found.append((low, high))
    return found


def _known_places(module: nn.Module, ours: Sequence[Variable], theirs: Sequence[Variable]) -> tuple[list[int], list[int]]:
    """Match each column of their outputs to one of ours, and each row of their readout to one of ours; -1 where it is new.

    If a model does not state which rows of its readout give an output, all are new.
    """
    rows_of: Any = getattr(module, "rows_of", None)
    places, column, row = {}, 0, 0
    for variable in ours if rows_of is not None else ():
        places[variable.name] = (variable, column, row)
        column, row = column + variable.size, row + rows_of(variable)
    columns: list[int] = []
    rows: list[int] = []
    for variable in theirs:
        count = 0 if rows_of is None else rows_of(variable)
        known, column, row = places.get(variable.name, (None, 0, 0))
        if known is not None and same_shape(known, variable):
            columns += range(column, column + variable.size)
            rows += range(row, row + count)
        else:
            columns += [-1] * variable.size
            rows += [-1] * count
    return columns, rows


def scaled_to(surrogate: Surrogate, data: Dataset) -> Surrogate:
    """Rescale quantities that the source held at a set point by data that vary them; see `scaling.scaled_for`.

    The source has no information about such an input, so its network is made blind to it. The source's prediction of such an
    output in physical units is kept: its readout is scaled inversely.

    Args:
        surrogate: the source.
        data: data with the variables of the surrogate; outputs that are new to the source are ignored.

    Returns:
        The surrogate itself if there is nothing to scale.
    """
    if len(data) == 0:
        return surrogate
    seen, scaling = fit_scaling(data), surrogate.scaling
    inputs, outputs = scaled_for(scaling.inputs, seen.inputs), scaling.outputs
    if surrogate.outputs == data.outputs:
        outputs = scaled_for(scaling.outputs, seen.outputs)
    if inputs is scaling.inputs and outputs is scaling.outputs:
        return surrogate
    weights, module = dict(surrogate.weights), surrogate.network.module
    blind_to, rows_of = (getattr(module, name, None) for name in ("blind_to", "rows_of"))
    if blind_to is not None:
        weights = blind_to(weights, inputs.deviation != scaling.inputs.deviation)
    if outputs is not scaling.outputs and rows_of is not None:
        shrinkage = torch.where(outputs.deviation > 0, scaling.outputs.deviation / outputs.deviation, 1.0)
        factors, first = [], 0
        for variable in surrogate.outputs:
            own, rows = shrinkage[first : first + variable.size], rows_of(variable)
            first += variable.size
            # A row gives a column, or a field with one scale; if the channels of a field have several, its rows stay unchanged.
            factors.append(
                own if rows == len(own) else own[:1].expand(rows) if bool((own == own[0]).all()) else torch.ones(rows)
            )
        factor = torch.cat(factors)
        for name, own in inside(weights, surrogate.readout).items():
            if bool(own):
                weights[name] = weights[name] * factor.to(weights[name]).view(-1, *(1,) * (weights[name].ndim - 1))
    predictor = dataclasses.replace(surrogate.network, weights=weights)
    return dataclasses.replace(surrogate, predictor=predictor, scaling=Scaling(inputs, outputs))
