"""Methods that train all weights and penalise the distance of weights, features or predictions from the source or from 0."""
