"""What cannot be exported."""


class NotExportableError(ValueError):
    """A format cannot hold the predictor, or the predictor lacks what was asked for; the message names the remedy."""
