"""
A cheap and an expensive function
=================================

The two fidelities of Forrester's function.
"""

import matplotlib.pyplot as plt
import numpy as np

x = np.linspace(0, 1, 200)
expensive = (6 * x - 2) ** 2 * np.sin(12 * x - 4)
cheap = 0.5 * expensive + 10 * (x - 0.5) - 5
plt.plot(x, expensive, label="expensive")
plt.plot(x, cheap, label="cheap")
plt.legend()
