"""Methods that train all or some of the source's weights or fit a readout to its features, and the two baselines."""
