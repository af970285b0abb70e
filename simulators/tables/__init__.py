"""Functions of a few numbers in closed form, with cheap and dear versions."""
