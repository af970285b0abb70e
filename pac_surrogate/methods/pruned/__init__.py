"""Methods that prune the source, and the recipes by which it is pruned."""
