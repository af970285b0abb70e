"""Formulas in two fidelities that are no pair of the simulators, for points in physical units, one per row.

Those of the simulators are in `simulators.tables.multi_fidelity_functions`. Columns are x1, x2, ...
Source of `bohachevsky`, `camelback`, `himmelblau` and `tilted_branin`, with both levels: Dong, Song, Wang & Huang, Struct.
Multidiscip. Optim. 51 (2015) 1267-1280, as in the package mf2 2022.6.
"""

import torch

from simulators.tables.multi_fidelity_functions import Points, Values, branin_high


def bohachevsky_high(x: Points) -> Values:
    """Value y = x1^2 + 2 x2^2 - 0.3 cos(3 pi x1) - 0.4 cos(4 pi x2) + 0.7."""
    x1, x2 = x.unbind(1)
    return x1**2 + 2 * x2**2 - 0.3 * torch.cos(3 * torch.pi * x1) - 0.4 * torch.cos(4 * torch.pi * x2) + 0.7


def bohachevsky_low(x: Points) -> Values:
    """Value y = high(0.7 x1, x2) + x1 x2 - 12."""
    return bohachevsky_high(x * x.new_tensor([0.7, 1.0])) + x.prod(1) - 12


def camelback_high(x: Points) -> Values:
    """Value y = 4 x1^2 - 2.1 x1^4 + x1^6 / 3 + x1 x2 - 4 x2^2 + 4 x2^4."""
    x1, x2 = x.unbind(1)
    return 4 * x1**2 - 2.1 * x1**4 + x1**6 / 3 + x1 * x2 - 4 * x2**2 + 4 * x2**4


def camelback_low(x: Points) -> Values:
    """Value y = high(0.7 x1, 0.7 x2) + x1 x2 - 15."""
    return camelback_high(0.7 * x) + x.prod(1) - 15


def himmelblau_high(x: Points) -> Values:
    """Value y = (x1^2 + x2 - 11)^2 + (x2^2 + x1 - 7)^2."""
    x1, x2 = x.unbind(1)
    return (x1**2 + x2 - 11) ** 2 + (x2**2 + x1 - 7) ** 2


def himmelblau_low(x: Points) -> Values:
    """Value y = high(0.5 x1, 0.8 x2) + x2^3 - (x1 + 1)^2."""
    x1, x2 = x.unbind(1)
    return himmelblau_high(x * x.new_tensor([0.5, 0.8])) + x2**3 - (x1 + 1) ** 2


def tilted_branin_high(x: Points) -> Values:
    """Value y = branin(x1, x2) - 22.5 x2."""
    return branin_high(x) - 22.5 * x[:, 1]


def tilted_branin_low(x: Points) -> Values:
    """Value y = branin(0.7 x1, 0.7 x2) - 15.75 x2 + 20 (0.9 + x1)^2 - 50."""
    x1, x2 = x.unbind(1)
    return branin_high(0.7 * x) - 15.75 * x2 + 20 * (0.9 + x1) ** 2 - 50


HARTMANN_3_RATES = ((3, 10, 30), (0.1, 10, 35), (3, 10, 30), (0.1, 10, 35))
HARTMANN_3_CENTRES = ((0.3689, 0.1170, 0.2673), (0.4699, 0.4387, 0.7470), (0.1091, 0.8732, 0.5547), (0.0381, 0.5743, 0.8828))


def hartmann_3_high(x: Points) -> Values:
    """Value y = -sum_i alpha_i exp(-d_i), d_i = sum_j A_ij (x_j - P_ij)^2, alpha = (1, 1.2, 3, 3.2).

    Source: Dixon & Szego, Towards Global Optimisation 2 (North-Holland 1978).
    """
    return _hartmann_3(x, (1.0, 1.2, 3.0, 3.2))


def hartmann_3_low(x: Points) -> Values:
    """Value as the high one, with alpha = (1.02, 1.18, 2.8, 3.4).

    The lowest of three levels.
    Source: emukit 0.5, `multi_fidelity_hartmann_3d`.
    """
    return _hartmann_3(x, (1.02, 1.18, 2.8, 3.4))


def _hartmann_3(x: Points, heights: tuple[float, ...]) -> Values:
    rates, centres = x.new_tensor(HARTMANN_3_RATES), x.new_tensor(HARTMANN_3_CENTRES)
    return -torch.exp(-(rates * (x[:, None] - centres) ** 2).sum(2)) @ x.new_tensor(heights)
