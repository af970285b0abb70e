"""
A field with a band
===================

The heat equation in a rod: the source is one material, the target is another. The surrogate is adapted to 20 samples of
the target. The band holds for all points of a field at once.
"""

import tempfile

import matplotlib.pyplot as plt

import pac_surrogate as pac
from simulators.generate import generate
from simulators.pairs import find_pair

folder = tempfile.TemporaryDirectory()
generate(find_pair("heat_equation"), folder.name)
source = pac.open_dataset(f"{folder.name}/heat_equation/source.h5")
target = pac.open_dataset(f"{folder.name}/heat_equation/target.h5")

surrogate = pac.pretrain(source.train, model=pac.MLP(hidden=(64, 64)), valid=source.valid)
adapted = pac.transfer(surrogate, target.train[:20], source=source.train)

# %%
# Most of the target's rods are outside the range of the source, hence the warning. Three rods of the test split:

rods = target.test[[0, 1, 2]]
band = adapted.predict_interval(rods.x, level=0.8, simultaneous=True)
before = surrogate.predict(rods.x)
x = target.coordinates["x"].values

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for rod, ax in enumerate(axes):
    ax.plot(x, rods.y[rod], color="black", label="truth")
    ax.plot(x, before[rod], color="0.5", linestyle="--", label="source surrogate")
    ax.plot(x, band.mean[rod], color="#D55E00", label="after transfer")
    ax.fill_between(x, band.lower[rod], band.upper[rod], color="#D55E00", alpha=0.2, linewidth=0, label="80 % band")
    ax.set_xlabel("x [m]")
axes[0].set_ylabel("temperature [K]")
axes[0].legend(frameon=False, fontsize=8)
plt.show()
folder.cleanup()
