"""What workflows, activities and the command line share. Imports neither workflows nor activities."""

__version__ = "0.1.0"
"""The version of the command and of the worker. Nothing else states it."""
