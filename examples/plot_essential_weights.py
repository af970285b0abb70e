"""
What PAC prunes
===============

PAC keeps the largest weights of every layer for the source and gives the others to the target. The picture shows the
weights of the last hidden layer: pretrained, allocated to the source, and calibrated on the target.
"""

import matplotlib.pyplot as plt
import numpy as np

import pac_surrogate as pac

generator = np.random.default_rng(0)
x = generator.uniform(-1, 1, size=(1000, 2))
source = pac.Dataset.from_arrays(x, np.sin(3 * x[:, 0]) + x[:, 1])
target = pac.Dataset.from_arrays(x[:20], np.sin(3 * x[:20, 0]) * (1 + x[:20, 1]))

surrogate = pac.pretrain(source, model=pac.MLP(hidden=(32, 32)))
allocated = pac.prune_and_allocate(surrogate, source, sparsity=0.8)
calibrated = pac.transfer(surrogate, target, method=pac.PAC(sparsity=0.8), source=source, intervals=False)

stages = {"pretrained": surrogate, "allocated to the source": allocated, "calibrated on the target": calibrated}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for ax, (title, stage) in zip(axes, stages.items(), strict=True):
    weights = stage.weights["hidden.1.weight"].numpy()
    image = ax.imshow(weights, cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    ax.set_title(title)
    ax.set_xlabel("unit of the first hidden layer")
axes[0].set_ylabel("unit of the second hidden layer")
figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
plt.show()
