"""The screening classifier: is a tumour malignant, from 30 measurements of a cell sample.

Training uses scikit-learn. Serving needs the standard library alone, so that an instance answers its first health check at once.
"""
