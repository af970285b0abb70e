"""pac_surrogate: surrogate models that transfer from a cheap source to an expensive target.

import pac_surrogate as pac

source = pac.open_dataset("data/heat_equation/source.h5")
target = pac.open_dataset("data/heat_equation/target.h5")
surrogate = pac.pretrain(source.train, model=pac.MLP(hidden=(64, 64)), seed=0)
adapted = pac.transfer(surrogate, target.train[:20], source=source.train)  # chooses the method: print(adapted.choice)
adapted.predict_interval(target.test.x, level=0.9)
"""

import lazy_loader

# Importing torch takes seconds; the command line's --help and the reading of files do not need it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
