"""Generating text on NumPy arrays: options, processors of scores, sampling, beam search, streaming.

The parts are public, so that a loop can be written by hand: :func:`decode` is the library's own, a generator of steps
over anything that is a :class:`Decoder`.
"""

from .config import GenerationConfig
from .decoder import DecoderState
from .encoded import Encoded
from .generator import Generator
from .logits import AllowedTokens, Processor, log_softmax, processors
from .loop import Decoder, Seed, Steps, decode, run
from .output import GenerationOutput, Speculation, Step
from .sampling import draw, warpers
from .stopping import Stopping, StopRule
from .streaming import TextStream

__all__ = [
    "AllowedTokens",
    "Decoder",
    "DecoderState",
    "Encoded",
    "GenerationConfig",
    "GenerationOutput",
    "Generator",
    "Processor",
    "Seed",
    "Speculation",
    "Step",
    "Steps",
    "StopRule",
    "Stopping",
    "TextStream",
    "decode",
    "draw",
    "log_softmax",
    "processors",
    "run",
    "warpers",
]
