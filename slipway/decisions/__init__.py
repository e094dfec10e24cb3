"""Decisions that people sign: the document, and the signature on it."""
