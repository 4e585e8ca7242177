"""Fixtures of the command line's tests."""

import io
import sys

import numpy as np
import pytest

from torchless import cli

from .factories import make_bundle


@pytest.fixture
def bundle(tmp_path):
    """3 to 1 for POS if the text is "good", for NEG if it is "bad"."""
    odds = float(np.log(3))
    rows = {"good": (0, odds), "bad": (odds, 0)}
    return str(make_bundle(tmp_path / "bundle", "text-classification", rows, ("NEG", "POS")))


@pytest.fixture
def run(capsys, monkeypatch):
    """Call the command; returns its status, standard output and standard error."""

    def call(*arguments, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's own way out
            status = end.code
        return status, *capsys.readouterr()

    return call
