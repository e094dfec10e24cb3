"""The container runtime that every service shares: pulls images from the sandbox's registry and runs them under bubblewrap.

This package imports nothing by itself: the keeper is started below it, without any installed package.
"""
