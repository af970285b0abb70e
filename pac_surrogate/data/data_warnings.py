"""Warnings of data that may not be what their user means."""


class ExtrapolationWarning(UserWarning):
    """Inputs leave the range of the training data."""


class DataWarning(UserWarning):
    """What the user of some data may not mean: repeats, another grid, exchanged arguments, new outputs."""
