"""Warnings about data that may not be what the user intended."""


class ExtrapolationWarning(UserWarning):
    """Warning that inputs lie outside the range of the training data."""


class DataWarning(UserWarning):
    """Warning about data that may be a mistake, such as repeated samples, or about a poor source network."""
