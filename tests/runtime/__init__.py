"""Tests of the runtime: tiny graphs and tokenizers made on the spot, answers worked out by hand."""
