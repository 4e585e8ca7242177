"""Contenders of speech and vision: a module each, with ``prepare`` and ``load``; see :mod:`..recognition_worker`."""
