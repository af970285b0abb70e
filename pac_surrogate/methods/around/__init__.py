"""Methods that leave the source unchanged and add a model around it."""
