"""ETDRK4: one time step of a system with a stiff diagonal linear part and a nonlinear remainder."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

CONTOUR = 16  # points of the trapezoidal rule on a circle; its error is the Taylor coefficient of order 16, about 1e-15


class ExponentialStep:
    """One step of ETDRK4 for v' = L v + N(v), L diagonal: exact for N = 0, otherwise order 4; a stiff L does not limit it.

        a = e^{hL/2} v + Q N(v),  b = e^{hL/2} v + Q N(a),  c = e^{hL/2} a + Q (2 N(b) - N(v))
        v(t + h) = e^{hL} v + f_1 N(v) + 2 f_2 (N(a) + N(b)) + f_3 N(c)

    With z = h L the coefficients Q = h (e^{z/2} - 1)/z, f_1 = h (-4 - z + e^z (4 - 3 z + z^2))/z^3,
    f_2 = h (2 + z + e^z (z - 2))/z^3, f_3 = h (-4 - 3 z - z^2 + e^z (4 - z))/z^3 suffer from cancellation near z = 0. They are
    entire functions, so each is computed as the mean of its formula over a circle of radius 1 about z. The mean is over the
    full circle, because the real part of the mean over half of it is correct only for real L.
    Source: Cox & Matthews, J. Comput. Phys. 176 (2002); Kassam & Trefethen, SIAM J. Sci. Comput. 26 (2005).

    Args:
        linear: diagonal of L, real or complex, shaped to broadcast against the state.
        step: time step h [s].
    """

    def __init__(self, linear: Tensor, step: float) -> None:
        z = (step * linear).to(torch.complex128)
        sums = [torch.zeros_like(z) for _ in range(4)]
        for i in range(CONTOUR):
            w = z + complex(math.cos(angle := 2 * math.pi * (i + 0.5) / CONTOUR), math.sin(angle))
            half, square = torch.exp(w / 2), w * w
            exponential, cube = half * half, w * square
            sums[0] += (half - 1) / w
            sums[1] += (-4 - w + exponential * (4 - 3 * w + square)) / cube
            sums[2] += 2 * (2 + w + exponential * (w - 2)) / cube
            sums[3] += (-4 - 3 * w - square + exponential * (4 - w)) / cube
        kind = torch.promote_types(linear.dtype, torch.complex32)
        self.whole, self.half = torch.exp(z).to(kind), torch.exp(z / 2).to(kind)
        self.q, self.f1, self.f2, self.f3 = ((step / CONTOUR * total).to(kind) for total in sums)

    def __call__(self, modes: Tensor, nonlinear: Callable[[Tensor], Tensor] | None) -> Tensor:
        """Advance modes by one step."""
        return self.whole * modes if nonlinear is None else self.advance(modes, nonlinear(modes), nonlinear)[0]

    def advance(self, modes: Tensor, first: Tensor, nonlinear: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Advance modes by one step, and return what `error` needs as well.

        Args:
            modes: v(t).
            first: N(v(t)).
            nonlinear: N.

        Returns:
            v(t + h), and N(c).
        """
        halfway = self.half * modes
        a = torch.addcmul(halfway, self.q, first)
        second = nonlinear(a)
        third = nonlinear(halfway.addcmul_(self.q, second))
        c = (self.half * a).addcmul_(self.q, torch.sub(third, first, alpha=0.5), value=2)
        following = (self.whole * modes).addcmul_(self.f1, first).addcmul_(self.f2, second.add_(third))
        last = nonlinear(c)
        return following.addcmul_(self.f3, last), last

    def error(self, last: Tensor, following: Tensor) -> Tensor:
        """Return the distance of v(t + h) from an embedded solution of order 3, f_3 (N(c) - N(v(t + h))).

        In that solution N(v(t + h)) replaces N(c), which satisfies the same conditions up to order 3. The distance falls with
        h^4 and the error of a step with h^5, so that the distance is an upper estimate of the error.
        Source: Whalley, Brio & Moloney, J. Comput. Phys. 280 (2015) 579-601.

        Args:
            last: N(c) of the step.
            following: N(v(t + h)).
        """
        return (last - following).mul_(self.f3)
