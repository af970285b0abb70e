"""
Which samples to run next
=========================

``next_samples`` proposes the inputs that lower the mean posterior variance over a pool of candidates the most. The
expensive function is known at four points; the six proposed points fill the gaps between them.
"""

import matplotlib.pyplot as plt
import numpy as np

import pac_surrogate as pac


def expensive(x):
    """Return the high-fidelity version of Forrester's function."""
    return (6 * x - 2) ** 2 * np.sin(12 * x - 4)


def cheap(x):
    """Return the low-fidelity version of Forrester's function."""
    return 0.5 * expensive(x) + 10 * (x - 0.5) - 5


pool = np.linspace(0, 1, 201)[:, None]
source = pac.Dataset.from_arrays(pool, cheap(pool))
known = np.array([[0.05], [0.1], [0.45], [0.9]])
surrogate = pac.pretrain(source)
chosen = pac.next_samples(surrogate, pac.Dataset.from_arrays(known, expensive(known)), pool, 6)
proposed = pool[chosen]

figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.plot(pool, expensive(pool), color="black", label="expensive function (target)")
ax.plot(pool, cheap(pool), color="0.5", linestyle="--", label="cheap function (source)")
ax.plot(known, expensive(known), "o", color="#0072B2", label="known")
ax.plot(proposed, expensive(proposed), "D", color="#D55E00", markerfacecolor="none", label="proposed")
for order, point in enumerate(proposed[:, 0], start=1):
    ax.annotate(str(order), (point, expensive(point)), xytext=(5, 6), textcoords="offset points")
ax.set_xlabel("x")
ax.legend(frameon=False)
plt.show()
