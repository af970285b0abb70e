"""Before anything of ours is imported: check the array shapes that signatures state, with beartype."""

import matplotlib as mpl
from jaxtyping import install_import_hook

mpl.use("Agg")
install_import_hook(["pac_surrogate", "simulators"], "beartype.beartype")
