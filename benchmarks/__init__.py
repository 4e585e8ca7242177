"""Measurements against peers; not installed. Each module is a command that writes a file under results/."""
