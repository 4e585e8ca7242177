"""Programs that show what torchless does, and the checkpoints they show it with."""
