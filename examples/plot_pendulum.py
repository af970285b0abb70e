"""
Ten expensive samples correct a cheap formula
=============================================

The formula for small swings gives the period of a pendulum cheaply, but it ignores the amplitude. Ten accurate periods
are enough for a surrogate that follows the amplitude, with an interval around it.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ellipk

import pac_surrogate as pac

GRAVITY = 9.81  # m/s^2


def small_swings(x):
    """Return the periods, in s, of pendulums of given lengths in m, without regard to their amplitudes in rad."""
    return 2 * np.pi * np.sqrt(x[:, 0] / GRAVITY)


def exact(x):
    """Return the exact periods: the complete elliptic integral of the first kind takes the amplitude into account."""
    return 4 * np.sqrt(x[:, 0] / GRAVITY) * ellipk(np.sin(x[:, 1] / 2) ** 2)


generator = np.random.default_rng(0)
cheap_inputs = generator.uniform((0.1, 0.0), (2.0, 2.0), size=(1000, 2))
few_inputs = generator.uniform((0.1, 0.0), (2.0, 2.0), size=(10, 2))
source = pac.Dataset.from_arrays(cheap_inputs, small_swings(cheap_inputs))
target = pac.Dataset.from_arrays(few_inputs, exact(few_inputs))

surrogate = pac.pretrain(source)
adapted = pac.transfer(surrogate, target, source=source)

swings = np.linspace(0.0, 2.0, 81)
inputs = np.stack([np.ones_like(swings), swings], axis=1)  # pendulums of 1 m
band = adapted.predict_interval(inputs, level=0.8)

figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.plot(swings, small_swings(inputs), color="0.5", linestyle="--", label="formula for small swings (source)")
ax.plot(swings, exact(inputs), color="black", label="exact period (target)")
ax.plot(swings, band.mean, color="#D55E00", label="surrogate after transfer")
ax.fill_between(swings, band.lower, band.upper, color="#D55E00", alpha=0.2, linewidth=0, label="its 80 % interval")
ax.set_xlabel("amplitude [rad]")
ax.set_ylabel("period of a pendulum of 1 m [s]")
ax.legend(frameon=False)
plt.show()
