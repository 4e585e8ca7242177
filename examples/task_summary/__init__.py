"""The tasks of transformers' task summary, each in two ways: with a pipeline, and with its parts."""
