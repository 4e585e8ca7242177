"""Generating text: options, processors of logits, sampling, beam search and streaming, on NumPy arrays."""
