"""Surrogate models that transfer from a cheap source to an expensive target.

    import pac_surrogate as pac

    source = pac.open_dataset("data/heat_equation/source.h5")
    target = pac.open_dataset("data/heat_equation/target.h5")
    surrogate = pac.pretrain(source.train, model=pac.MLP(hidden=(64, 64)), seed=0)
    adapted = pac.transfer(surrogate, target.train[:20], source=source.train)  # chooses the method: print(adapted.choice)
    adapted.predict_interval(target.test.x, level=0.9)

All public names; `help(pac.transfer)` explains one of them.

Data:
    Dataset                  samples of named inputs and outputs, from arrays or a file
    open_dataset             open a data file; numbers are read when they are needed

Models:
    MLP                      multilayer perceptron
    CNN                      residual convolutional network for fields on a grid
    Module                   your own torch module

Pipeline:
    pretrain                 train a surrogate on the source
    transfer                 adapt a source surrogate to a few target samples
    Surrogate                what both return: predicts, gives intervals, is saved and loaded
    Auto                     the choice among methods that transfer makes by default
    next_samples             choose the inputs to run on the expensive simulator next
    prune_and_allocate       only the first two steps of PAC-Net
    draw_ticket              only the subnetwork that Ticket trains

Methods that differ in which weights train (methods/tuned):
    SourceUnchanged          the source itself; no target sample is used
    Scratch                  all weights, from fresh initial ones; the source is not used
    FineTune                 all weights, from the source's
    LinearProbe              only the readout, by gradient steps
    LastLayerRidge           only the readout, by ridge regression
    LPFT                     the readout first, then all weights
    Surgical                 one block of layers
    LoRA                     a correction of low rank to each weight tensor
    ScaleShift               a scale and a shift of each unit
    ATL                      a readout of the layers that predict the target best

Methods that train all weights with a regulariser (methods/pulled):
    L2SP                     a pull towards the weights of the source
    EWC                      the same, weighted by the Fisher information
    L2                       weight decay towards 0
    DELTA                    a pull towards the hidden features of the source
    LwF                      a pull towards the predictions of the source
    BSS                      shrinks the smallest singular values of the features

Methods that correct the source or use Gaussian processes (methods/around):
    LinearCorrection         a linear function of the prediction of the source
    DeltaNetwork             a small network that is added to the source
    InputAugmentation        a small network of the inputs and the prediction of the source
    MFNN                     multi-fidelity network: a linear and a nonlinear part
    GP                       Gaussian process on the target, the residual or both
    CoKriging                autoregressive co-kriging of source and target

Methods that prune (methods/pruned):
    PAC                      PAC-Net: prune, allocate, calibrate
    PackNet                  PAC without its pull towards the source
    Ticket                   train a subnetwork of the source
    SparseTransfer           prune by one of the next six recipes, then transfer
    GMP                      recipe: by magnitude, in rounds
    ACDC                     recipe: sparse and dense phases in turn
    STR                      recipe: a learned threshold for each layer
    RigL                     recipe: sparse from the start, with connections that move
    WoodFisher               recipe: once, by second-order importance
    LTHT                     recipe: a lottery ticket of the source, in rounds

Hyper-parameters:
    grid                     a method with each of several values, among which cross-validation chooses

Transfer curves:
    transfer_curve           errors of methods against the number of target samples
    open_curve               read a saved curve
    save_curve               write a curve as netCDF and CSV
    summarise                medians and quartiles over seeds
    samples_needed           target samples that a method needs for an error
    samples_needed_interval  the same with its bootstrap interval
    samples_saved            target samples that a method saves against others
    break_even               number of predictions from which a surrogate pays
    simulation_costs         costs of the simulations, for break_even

Figures:
    plot_curve               error against the number of target samples
    plot_savings             samples needed and saved against the error
    plot_fields              true and predicted fields with their errors
    plot_samples             samples of a source and of a target

Plans and solver:
    Plan                     objective, start and free weights of a training
    make_plan                make a Plan with default values
    fit                      train any number of Plans at once

Errors and warnings:
    DatasetError             a file is missing, damaged or of another layout
    DataWarning              data may be a mistake
    ExtrapolationWarning     inputs lie outside the range of the training data
"""

from typing import Any

import lazy_loader

# Importing torch takes seconds; the command line's --help and the reading of files do not need it.
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _load(name)
    from importlib import metadata  # which takes a tenth of the time of importing this package

    try:
        return metadata.version(__name__)
    except metadata.PackageNotFoundError:
        return "not installed"
