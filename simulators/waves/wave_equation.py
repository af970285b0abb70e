"""The wave equation in one and two dimensions, many samples at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.boundaries import Boundary, Dirichlet, Neumann, Periodic, spread_values
from simulators.numerics.step_error import error_limit, refuse_lost, refuse_not_finite
from simulators.numerics.time_stepping import check_times, like_rows


@dataclass(frozen=True)
class Wave:
    """The result of `solve_wave`; energies are per unit of mass density (m^3/s^2 in 1-D, m^4/s^2 in 2-D).

    Attributes:
        displacement: u at the cell centres at the requested times [m].
        velocity: u_t at the cell centres at the requested times [m/s].
        energy: energy of the leapfrog at the start and at the end of the interval that ends at each requested time.
        dissipated: energy lost to damping within that interval.
    """

    displacement: Float[Tensor, "sample time *cells"]
    velocity: Float[Tensor, "sample time *cells"]
    energy: Float[Tensor, "sample time 2"]
    dissipated: Float[Tensor, "sample time"]

    def residual(self) -> Float[Tensor, " sample"]:
        """Return the largest |energy gained + energy dissipated| over the intervals, relative to the largest energy."""
        missed = self.energy[:, :, 1] - self.energy[:, :, 0] + self.dissipated
        return missed.abs().amax(1) / self.energy.flatten(1).abs().amax(1).clamp(min=torch.finfo(missed.dtype).tiny)


def solve_wave(
    displacement: Float[Tensor, " sample *cells"],
    velocity: Float[Tensor, " sample *cells"],
    speed: Float[Tensor, " sample"] | Float[Tensor, " sample *cells"],
    times: Float[Tensor, " time"],
    *,
    lengths: Sequence[float],
    boundaries: Sequence[tuple[Boundary, Boundary]],
    step: float,
    damping: float | Float[Tensor, " sample"] = 0.0,
) -> Wave:
    """Solve u_tt + d u_t = div(c^2 grad u) on an interval or a rectangle, one string or membrane per row.

    A u = -div(c^2 grad u) is discretised by central differences between cell centres; A is symmetric and of order 2 in space.
    The leapfrog (Störmer-Verlet), of order 2 in time, solves

        (u' - 2 u + u^) / step^2 + d (u' - u^) / (2 step) = -A u,   v = (u' - u^) / (2 step),

    where u' and u^ are the next and the previous u. It is reversible if d = 0, stable for step^2 * (eigenvalues of A) <= 4,
    and its energy

        E = ((1 + (d step / 2)^2) v.v + u.A u - (step A u / 2)^2) / 2 * (cell volume)

    changes only by what damping dissipates. At a face, c^2 is the harmonic mean of the values in the two cells beside it (two
    half cells in series). The boundaries lie on faces: Dirichlet() holds the edge at u = 0, Neumann() leaves it free
    (c^2 du/dn = 0), Periodic() joins opposite edges; all are of order 2.

    The errors of the steps are errors of phase: the frequency w of a mode is too high by w^3 step^2 / 24, and the damping rate
    has an error of d^3 step^2 / 24. In the norm of the energy, relative to the solution and to leading order, the error at t is
    therefore t step^2 / 24 times (the root of the ratio of the energies of u_ttt and u, plus d^3). This estimate is known
    before the first step and costs one to three evaluations of A. The grid, in contrast, makes frequencies too low. At the
    longest step in 1-D with uniform speed the two errors cancel, which the estimate ignores: see `step_error.tolerate`.
    Source: Hairer, Lubich & Wanner, Acta Numerica 12 (2003) 399-450; LeVeque, Finite Difference Methods (SIAM 2007).

    Args:
        displacement: u at the cell centres at t = 0 [m], (sample, x) or (sample, x, y).
        velocity: u_t at t = 0 [m/s].
        speed: c [m/s], positive; one number or one field per sample.
        times: output times t [s], not negative, in order.
        lengths: lengths of the domain along x (and y) [m].
        boundaries: boundaries (low, high) along x (and y).
        step: longest time step [s]; the interval between two output times is divided evenly.
        damping: damping rate d [1/s], not negative; one number, or one per sample.

    Returns:
        Displacements, velocities and the energies of their balance, float64.

    Raises:
        ValueError: if a shape does not fit, a value is not finite or out of range, a boundary is of another kind, or the
            step is above its limit (in 1-D with uniform speed: h / c); a `LostSolutionError` if the solution is not finite or
            its estimated error is above `step_error.TOLERANCE`, see `step_error.tolerate`.
    """
    u, v = displacement.to(torch.float64).clone(), velocity.to(displacement.device, torch.float64).clone()
    moments = check_times(times)
    rates = _check_body(u, v, speed, damping)
    _check_setting(u.ndim - 1, lengths, boundaries, step)
    stiffness = _Stiffness(u, speed, lengths, boundaries)
    acceleration, results = stiffness(u), []
    counts = [math.ceil((moment - now) / step - 1e-9) for now, moment in pairwise([0.0, *moments])]
    steps = [(b - a) / count if count else 0.0 for (a, b), count in zip(pairwise([0.0, *moments]), counts, strict=True)]
    for taken in steps:
        stiffness.check(taken)
    remedy = f"take time steps shorter than {step:.6g} s"
    if error_limit() < math.inf:
        growth = stiffness.error(u, v, acceleration, rates)
        passed = torch.tensor([taken**2 * (taken * count) for taken, count in zip(steps, counts, strict=True)]).to(u).cumsum(0)
        refuse_lost(passed[:, None] * growth, moments, remedy)
    for count, taken in zip(counts, steps, strict=True):
        braking = like_rows(rates, u) * taken / 2
        before = stiffness.energy(u, v, acceleration, taken, braking)
        lost = torch.zeros_like(rates)
        for _ in range(count):
            lost += _square(v)
            v.mul_(1 - braking).add_(acceleration, alpha=taken / 2)
            u.add_(v, alpha=taken)
            acceleration = stiffness(u)
            v.add_(acceleration, alpha=taken / 2).div_(1 + braking)
            lost += _square(v)
        after = stiffness.energy(u, v, acceleration, taken, braking)
        energy = torch.stack([before, after], 1)
        results.append((u.clone(), v.clone(), energy, stiffness.volume * rates * taken * lost / 2))
    wave = Wave(*(torch.stack(parts, 1) for parts in zip(*results, strict=True)))
    refuse_not_finite(torch.stack([wave.displacement, wave.velocity], 2), moments, remedy)
    return wave


class _Stiffness:
    """The operator -A u = div(c^2 grad u) on cells, by differences across faces, with ghost cells beyond the boundaries.

    The ghost cell of a held edge has the value -u, so that u = 0 at the face; a free edge has c^2 = 0 at its face.
    """

    def __init__(
        self, u: Tensor, speed: Tensor, lengths: Sequence[float], boundaries: Sequence[tuple[Boundary, Boundary]]
    ) -> None:
        spacings = [length / cells for length, cells in zip(lengths, u.shape[1:], strict=True)]
        self.volume = math.prod(spacings)
        squares = (like_rows(speed, u) if speed.ndim == 1 else speed).to(u).expand_as(u) ** 2
        self.faces, self.periodic = [], [isinstance(low, Periodic) for low, _ in boundaries]
        around = torch.zeros_like(u)
        for along, (h, ends) in enumerate(zip(spacings, boundaries, strict=True), start=1):
            first, last = squares.narrow(along, 0, 1), squares.narrow(along, -1, 1)
            low, high = (last, first) if self.periodic[along - 1] else (first, last)
            beside = torch.cat([low, squares, high], along)
            faces = u.shape[along] + 1
            means = 2 / (1 / beside.narrow(along, 0, faces) + 1 / beside.narrow(along, 1, faces)) / h**2
            for place, end in zip((0, -1), ends, strict=True):
                if isinstance(end, Neumann):
                    means.narrow(along, place, 1).zero_()
            self.faces.append(means)
            around += means.narrow(along, 0, faces - 1) + means.narrow(along, 1, faces - 1)
        # Gershgorin: a face adds its value to the diagonal and to an off-diagonal entry, or twice to the diagonal if held.
        self.limits = 2 / torch.sqrt(2 * around.flatten(1).amax(1))

    def __call__(self, u: Tensor) -> Tensor:
        forces = []
        for along, (faces, periodic) in enumerate(zip(self.faces, self.periodic, strict=True), start=1):
            first, last = u.narrow(along, 0, 1), u.narrow(along, -1, 1)
            low, high = (last, first) if periodic else (-first, -last)
            pulls = torch.diff(torch.cat([low, u, high], along), dim=along).mul_(faces)
            forces.append(torch.diff(pulls, dim=along))
        return reduce(Tensor.add_, forces)

    def energy(self, u: Tensor, v: Tensor, acceleration: Tensor, step: float, braking: Tensor) -> Float[Tensor, " sample"]:
        kinetic = (1 + braking.flatten() ** 2) * _square(v)
        return self.volume / 2 * (kinetic - (u * acceleration).flatten(1).sum(1) - step**2 / 4 * _square(acceleration))

    def error(self, u: Tensor, v: Tensor, acceleration: Tensor, rates: Tensor) -> Float[Tensor, " sample"]:
        """Return the growth rate of the relative error in the norm of the energy, divided by step^2 [1/s^3]."""
        swiftness = _square(self(acceleration))
        if bool(v.any()):
            jerk = self(v)
            swiftness -= (jerk * self(jerk)).flatten(1).sum(1)
        energy = _square(v) - (u * acceleration).flatten(1).sum(1)
        return ((swiftness / energy.clamp(min=torch.finfo(u.dtype).tiny)).sqrt() + rates**3) / 24

    def check(self, step: float) -> None:
        """Check that the step is not above its limit."""
        sample = int(self.limits.argmin())  # argmin finds a NaN first
        limit = float(self.limits[sample])
        if not step <= limit * (1 + 1e-12):
            raise ValueError(f"leapfrog needs a step of at most {limit:.6g} s in sample {sample}, got {step:.6g} s: shorten it")


def _square(values: Float[Tensor, " sample *cells"]) -> Float[Tensor, " sample"]:
    return values.flatten(1).square().sum(1)


def _check_body(u: Tensor, v: Tensor, speed: Tensor, damping: float | Tensor) -> Float[Tensor, " sample"]:
    """Check the shapes and values of the fields, and return the damping of each sample."""
    shape, samples = tuple(u.shape), tuple(u.shape[:1])
    if u.ndim not in (2, 3) or min(shape[1:]) < 2:
        raise ValueError(f"displacement must be (sample, x) or (sample, x, y) with two cells or more per axis, got {shape}")
    if v.shape != u.shape:
        raise ValueError(f"velocity must have the shape of displacement, {shape}, got {tuple(v.shape)}")
    if speed.shape not in (shape, samples):
        raise ValueError(f"speed must have shape {samples} or {shape}, got {tuple(speed.shape)}")
    rates = torch.as_tensor(damping).to(u)
    if rates.shape not in ((), samples):
        raise ValueError(f"damping must be one number or one per sample ({len(u)}), got shape {tuple(rates.shape)}")
    rates = rates.expand(samples)
    for name, values in {"displacement": u, "velocity": v, "speed": speed, "damping": rates}.items():
        if not bool(torch.isfinite(values).all()):
            sample = int((~torch.isfinite(values)).flatten(1 if values.ndim > 1 else 0).nonzero()[0, 0])
            raise ValueError(f"{name} must be finite, it is not in sample {sample}")
    if bool((speed <= 0).any()):
        raise ValueError(f"speed must be positive, got {float(speed.min()):.3g} m/s")
    if bool((rates < 0).any()):
        raise ValueError(f"damping must not be negative, got {float(rates.min()):.3g} 1/s")
    return rates


def _check_setting(axes: int, lengths: Sequence[float], boundaries: Sequence[tuple[Boundary, Boundary]], step: float) -> None:
    if len(lengths) != axes or not all(math.isfinite(length) and length > 0 for length in lengths):
        raise ValueError(f"lengths must be {axes} positive number(s) [m], one per axis, got {tuple(lengths)}")
    if len(boundaries) != axes or any(len(pair) != 2 for pair in boundaries):
        raise ValueError(f"boundaries must be {axes} pair(s) (low, high), one per axis, got {len(boundaries)}")
    for axis, (low, high) in zip("xy", boundaries, strict=False):
        if isinstance(low, Periodic) != isinstance(high, Periodic):
            raise ValueError(f"both boundaries along {axis} must be periodic, or neither; got one: make the other Periodic()")
        for end in (low, high):
            if not isinstance(end, Dirichlet | Neumann | Periodic):
                kind = type(end).__name__
                raise ValueError(f"boundaries of a wave must be Dirichlet(), Neumann() or Periodic(), got {kind} along {axis}")
            for name, value in spread_values(end, 1, torch.device("cpu")).items():
                if float(value) != 0:
                    kind = type(end).__name__
                    raise ValueError(
                        f"a {kind} boundary of a wave must have {name} 0, got {float(value):.3g}: measure u from there"
                    )
    if not (math.isfinite(step) and step > 0):
        raise ValueError(f"step must be positive and finite, got {step} s")
