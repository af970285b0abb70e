"""Predictions of many surrogates at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import match_all
from pac_surrogate.models import evaluate_many
from pac_surrogate.predictors import Network
from pac_surrogate.surrogates.restored import restored
from pac_surrogate.surrogates.surrogate import Surrogate


def predict_many(surrogates: Sequence[Surrogate], datasets: Sequence[Dataset]) -> list[Float[np.ndarray, "_sample _output"]]:
    """Predict with many surrogates in physical units, without warnings; networks of one shape run as stacks.

    Each result is a matrix with the columns of the surrogate's output arrays.
    """
    scaled_by: dict[tuple[int, int, int], Tensor] = {}
    scaled = []
    for surrogate, data in zip(surrogates, datasets, strict=True):
        columns = surrogate.scaling.inputs
        key = (id(columns.mean), id(columns.deviation), id(data))
        if key not in scaled_by:
            matrix = surrogate.arranged(data, outputs=False).input_matrix
            scaled_by[key] = columns.standardise(torch.as_tensor(np.asarray(matrix, dtype=np.float64)))
        scaled.append(scaled_by[key])
    predictions: dict[int, Tensor] = {}
    groups: dict[Any, list[int]] = {}
    for i, surrogate in enumerate(surrogates):
        if isinstance(surrogate.predictor, Network):
            groups.setdefault(surrogate.predictor.shape_key, []).append(i)
        else:
            predictions[i] = surrogate.predictor.predict(scaled[i])
    for members in groups.values():
        networks = [surrogates[i].network for i in members]
        dtype = networks[0].dtype
        cast = {id(scaled[i]): scaled[i].to(dtype) for i in members}
        outputs = evaluate_many(networks[0].module, [n.weights for n in networks], [cast[id(scaled[i])] for i in members])
        predictions |= dict(zip(members, outputs, strict=True))
    found = []
    for i, surrogate in enumerate(surrogates):
        physical = restored(surrogate.scaling.outputs, surrogate.outputs, predictions[i].double()).numpy()
        listed = surrogate.given_outputs
        found.append(physical[:, match_all("outputs", listed, surrogate.outputs)] if listed else physical)
    return found
