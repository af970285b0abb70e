"""Surrogates as programs of array operations, which are written as ONNX, NumPy, C or torch."""
