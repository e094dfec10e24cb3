"""The two classes of scikit-learn that the sample model trains with, in plain Python.

An image with these in place of scikit-learn and numpy is a quarter of the size, and its training starts at once. The sample's
own program runs on both, unchanged.
"""
