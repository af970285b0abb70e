"""Formulas in a high-fidelity and a low-fidelity version, as published or marked as ours, for points in physical units.

The first line of each docstring is the equation that is stored in data files. Inputs are columns in the order of
`multi_fidelity_families.FAMILIES`, which holds names, units and bounds; formulas are also evaluated outside the bounds.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "sample input"]
Values = Float[Tensor, " sample"]


def forrester_high(x: Points) -> Values:
    """Value y = (6 x1 - 2)^2 sin(12 x1 - 4).

    Source: Forrester, Sobester & Keane, Proc. R. Soc. A 463 (2007) 3251-3269.
    """
    x1 = x.double()[:, 0]
    return (6 * x1 - 2) ** 2 * torch.sin(12 * x1 - 4)


def forrester_low(x: Points) -> Values:
    """Value y = 0.5 high + 10 (x1 - 0.5) - 5.

    Source: as `forrester_high`, with A = 0.5, B = 10, C = -5; some codes subtract C, which shifts y by 10.
    """
    return 0.5 * forrester_high(x) + 10 * (x.double()[:, 0] - 0.5) - 5


def branin_high(x: Points) -> Values:
    """Value y = (x2 - 1.275 x1^2 / pi^2 + 5 x1 / pi - 6)^2 + (10 - 5 / (4 pi)) cos(x1) + 10.

    Source: Branin, IBM J. Res. Dev. 16 (1972) 504-522.
    """
    x1, x2 = x.double().unbind(1)
    valley = x2 - 1.275 * x1**2 / math.pi**2 + 5 * x1 / math.pi - 6
    return valley**2 + (10 - 5 / (4 * math.pi)) * torch.cos(x1) + 10


def branin_low(x: Points) -> Values:
    """Value y = 10 sqrt(high(x1 - 2, x2 - 2)) + 2 (x1 - 0.5) - 3 (3 x2 - 1) - 1.

    The middle one of three levels. It is hardly correlated with the high one; their relation is nonlinear and changes over the
    domain.
    Source: Perdikaris et al., Proc. R. Soc. A 473 (2017) 20160751.
    """
    x1, x2 = x.double().unbind(1)
    return 10 * torch.sqrt(branin_high(x.double() - 2)) + 2 * (x1 - 0.5) - 3 * (3 * x2 - 1) - 1


def currin_high(x: Points) -> Values:
    """Value y = (1 - exp(-1 / (2 x2))) (2300 x1^3 + 1900 x1^2 + 2092 x1 + 60) / (100 x1^3 + 500 x1^2 + 4 x1 + 20).

    At x2 = 0 and below, the first factor is replaced by its limit 1.
    Source: Currin, Mitchell, Morris & Ylvisaker, J. Am. Stat. Assoc. 86 (1991) 953-963.
    """
    x1, x2 = x.double().unbind(1)
    rising = 1 - torch.exp(-0.5 / x2.clamp(min=torch.finfo(x2.dtype).tiny))
    return rising * (2300 * x1**3 + 1900 * x1**2 + 2092 * x1 + 60) / (100 * x1**3 + 500 * x1**2 + 4 * x1 + 20)


def currin_low(x: Points) -> Values:
    """Value y = mean of high(x1 +- 0.05, x2 + 0.05) and high(x1 +- 0.05, max(0, x2 - 0.05)).

    Source: Xiong, Qian & Wu, Technometrics 55 (2013) 37-46.
    """
    x = x.double()
    corners = x.new_tensor([(0.05, 0.05), (-0.05, 0.05), (0.05, -0.05), (-0.05, -0.05)])
    return torch.stack([currin_high(x + corner) for corner in corners]).mean(0)


def park_a_high(x: Points) -> Values:
    """Value y = x1 / 2 (sqrt(1 + (x2 + x3^2) x4 / x1^2) - 1) + (x1 + 3 x4) exp(1 + sin(x3)).

    The code computes (sqrt(x1^2 + (x2 + x3^2) x4) - x1) / 2 + ..., which is also valid at x1 = 0.
    Source: Cox, Park & Singer, Comput. Stat. Data Anal. 37 (2001) 77-92.
    """
    x1, x2, x3, x4 = x.double().unbind(1)
    return (torch.sqrt(x1**2 + (x2 + x3**2) * x4) - x1) / 2 + (x1 + 3 * x4) * torch.exp(1 + torch.sin(x3))


def park_a_low(x: Points) -> Values:
    """Value y = (1 + sin(x1) / 10) high - 2 x1 + x2^2 + x3^2 + 0.5.

    Source: as `currin_low`.
    """
    x1, x2, x3, _ = x.double().unbind(1)
    return (1 + torch.sin(x1) / 10) * park_a_high(x) - 2 * x1 + x2**2 + x3**2 + 0.5


def park_b_high(x: Points) -> Values:
    """Value y = 2 / 3 exp(x1 + x2) - x4 sin(x3) + x3.

    Source: as `park_a_high`.
    """
    x1, x2, x3, x4 = x.double().unbind(1)
    return 2 / 3 * torch.exp(x1 + x2) - x4 * torch.sin(x3) + x3


def park_b_low(x: Points) -> Values:
    """Value y = 1.2 high - 1.

    Source: as `currin_low`.
    """
    return 1.2 * park_b_high(x) - 1


def borehole_high(x: Points) -> Values:
    """Flow 2 pi Tu (Hu - Hl) / (g (1 + 2 L Tu / (g rw^2 Kw) + Tu / Tl)), g = ln(r / rw).

    Source: Harper & Gupta, BMI/ONWI-516 (1983); bounds of Morris, Mitchell & Ylvisaker, Technometrics 35 (1993) 243-255.
    """
    return _borehole(x, 2 * math.pi, 1.0)


def borehole_low(x: Points) -> Values:
    """Flow 5 Tu (Hu - Hl) / (g (1.5 + 2 L Tu / (g rw^2 Kw) + Tu / Tl)), g = ln(r / rw).

    Source: as `currin_low`.
    """
    return _borehole(x, 5.0, 1.5)


def _borehole(x: Points, factor: float, constant: float) -> Values:
    rw, r, tu, hu, tl, hl, length, kw = x.double().unbind(1)
    g = torch.log(r / rw)
    return factor * tu * (hu - hl) / (g * (constant + 2 * length * tu / (g * rw**2 * kw) + tu / tl))


HARTMANN_RATES = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
HARTMANN_CENTRES = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def hartmann_high(x: Points) -> Values:
    """Value y = -sum_i alpha_i exp(-d_i), d_i = sum_j A_ij (x_j - P_ij)^2, alpha = (1, 1.2, 3, 3.2).

    Source: Dixon & Szego, Towards Global Optimisation 2 (North-Holland 1978).
    """
    return -torch.exp(-_hartmann_distances(x)) @ x.new_tensor((1.0, 1.2, 3.0, 3.2), dtype=torch.float64)


def hartmann_low(x: Points) -> Values:
    """Value y = -sum_i alpha_i (exp(-4/9) (1 + (4 - d_i) / 9))^9, d_i as in the high one, alpha = (0.5, 0.5, 2, 4).

    exp(-d) is the ninth power of exp(-d / 9), which is replaced by its tangent at d = 4. Far from the centres, where d > 13,
    the tangent is negative and its magnitude grows. The bounds therefore begin at 0.1, so that y stays below 3.5 (from 0 it
    would reach 38). The paper's shift and scale of both levels, -(2.58 + sum) / 1.94, are left out, so that the high one has
    its usual minimum.
    Source: Park, Haftka & Kim, Struct. Multidiscip. Optim. 55 (2017) 1029-1050.
    """
    tangents = math.exp(-4 / 9) * (1 + (4 - _hartmann_distances(x)) / 9)
    return -(tangents**9) @ x.new_tensor((0.5, 0.5, 2.0, 4.0), dtype=torch.float64)


def _hartmann_distances(x: Points) -> Float[Tensor, "sample 4"]:
    rates, centres = (x.new_tensor(table, dtype=torch.float64) for table in (HARTMANN_RATES, HARTMANN_CENTRES))
    return (rates * (x.double()[:, None] - centres) ** 2).sum(2)


def piston_high(x: Points) -> Values:
    """Time 2 pi sqrt(M / (k + S^2 n / V^2)), V = S (sqrt(A^2 + 4 k n) - A) / (2 k), n = P0 V0 Ta / T0, A = P0 S + w - k V0 / S.

    Here w = 19.62 M, and n S / V = A + k V / S is the balance of forces on the piston.
    Source: Kenett & Zacks, Modern Industrial Statistics (1998); Ben-Ari & Steinberg, Quality Engineering 19 (2007) 327-338.
    """
    mass, area, initial, spring, pressure, _, _ = x.double().unbind(1)
    load = pressure * area + 19.62 * mass - spring * initial / area
    gas = _piston_gas(x)
    volume = area / (2 * spring) * (torch.sqrt(load**2 + 4 * spring * gas) - load)
    return _piston_cycle(x, volume)


def piston_low(x: Points) -> Values:
    """Time as the high one, about the volume V = S n / (P0 S + w) of a gas that no spring helps to carry the load.

    Ours: V is its limit as k tends to 0, while k stays in the stiffness.
    """
    mass, area, _, _, pressure, _, _ = x.double().unbind(1)
    return _piston_cycle(x, area * _piston_gas(x) / (pressure * area + 19.62 * mass))


def _piston_gas(x: Points) -> Values:
    _, _, initial, _, pressure, ambient, filling = x.double().unbind(1)
    return pressure * initial * ambient / filling


def _piston_cycle(x: Points, volume: Values) -> Values:
    mass, area, _, spring, _, _, _ = x.double().unbind(1)
    return 2 * math.pi * torch.sqrt(mass / (spring + area**2 * _piston_gas(x) / volume**2))


def circuit_high(x: Points) -> Values:
    """Mid-point voltage ((Vb + 0.74) g + 11.35 Rf + 0.74 Rf g / Rc1) / (g + Rf), g = beta (Rc2 + 9), Vb = 12 Rb2 / (Rb1 + Rb2).

    Source: Ben-Ari & Steinberg, Quality Engineering 19 (2007) 327-338.
    """
    _, _, feedback, collector1, collector2, gain = x.double().unbind(1)
    g = gain * (collector2 + 9)
    return (circuit_low(x) * g + 11.35 * feedback + 0.74 * feedback * g / collector1) / (g + feedback)


def circuit_low(x: Points) -> Values:
    """Mid-point voltage Vb + 0.74, Vb = 12 Rb2 / (Rb1 + Rb2).

    Ours: the high one without feedback, Rf = 0.
    """
    base1, base2 = x.double()[:, 0], x.double()[:, 1]
    return 12 * base2 / (base1 + base2) + 0.74


def wing_high(x: Points) -> Values:
    """Weight 0.036 S^0.758 W^0.0035 (A / cos^2 s)^0.6 q^0.006 t^0.04 (100 c / cos s)^-0.3 (N G)^0.49 + S p.

    Source: Forrester, Sobester & Keane, Engineering Design via Surrogate Modelling (Wiley 2008), section 1.3.
    """
    return _bare_wing(x, 0.758) + x.double()[:, 0] * x.double()[:, 9]


def wing_low(x: Points) -> Values:
    """Weight 0.036 S^0.8 W^0.0035 (A / cos^2 s)^0.6 q^0.006 t^0.04 (100 c / cos s)^-0.3 (N G)^0.49 + p.

    Source: Eweis-Labolle, Oune & Bostanabad, J. Mech. Des. 144 (2022) 091703, second of three cheap levels.
    """
    return _bare_wing(x, 0.8) + x.double()[:, 9]


def _bare_wing(x: Points, power: float) -> Values:
    area, fuel, aspect, sweep, pressure, taper, thickness, load, gross, _ = x.double().unbind(1)
    cosine = torch.cos(torch.deg2rad(sweep))
    plan = 0.036 * area**power * fuel**0.0035 * (aspect / cosine**2) ** 0.6 * pressure**0.006 * taper**0.04
    return plan * (100 * thickness / cosine) ** -0.3 * (load * gross) ** 0.49
