"""Methods that prune the source, and recipes for pruning it."""
