"""Functions of a few numbers in closed form, in a cheap and an expensive version."""
