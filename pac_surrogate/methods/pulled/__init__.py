"""Methods that train all weights and pull them, or what they do, towards the source or towards 0."""
