"""Transfer curves: error against the number of target samples, with the samples and costs that a transfer saves."""
