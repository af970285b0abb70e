"""Transfer curves: error against the number of target samples, and what they say of samples and costs."""
