"""The interface to scikit-learn: `from pac_surrogate.sklearn import TransferRegressor`.

It is a package of its own, which `import pac_surrogate` does not import.
"""

from pac_surrogate.sklearn.regressor import TransferRegressor

__all__ = ["TransferRegressor"]
