"""Comparing the graphs of a generating model with the checkpoint, step by step, as they will be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from torchless import Session, SessionError, Settings
from torchless.errors import ExportError, VerificationError
from torchless.generation.decoder import DecoderState
from torchless.manifest import Reference

from .plans import hears, sound_shape
from .verify import REFERENCE_TOLERANCE, feed, record, sampled, share

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

# Prompts of the batch (ragged), the steps after them, and the beams that then part.
_PROMPTS, _STEPS, _BEAMS = (23, 9, 2), 4, 3
# One long prompt: near the model's limit where there is one. Then several tokens at once, some of them taken back.
_LONG, _EXTENSION, _REWOUND = 600, 6, 3
_REFERENCE_PROMPTS, _REFERENCE_STEPS = (6, 3), 3
# Samples of a sound for each token that a text would have.
_SAMPLES = 997


@dataclass(frozen=True)
class Script:
    """What the graphs are made to read, and what torch answers.

    Attributes:
        encoded: an encoder-decoder's inputs, rows of token ids, or sounds; empty for a decoder-only model.
        prompts: the decoder's first tokens, by row.
        forced: tokens of the steps that follow, ``(rows, steps)``.
        logits: torch's after the prompts and after every step, ``(rows, 1 + steps, vocab)``.
    """

    encoded: Sequence[Any]
    prompts: list[list[int]]
    forced: Ints
    logits: Floats


class Checker:
    """Runs the same tokens through torch and through the graphs.

    Args:
        model: the checkpoint, kept as an attribute.
        special: token ids that random inputs leave out.
        limit: positions of the decoder, or None.
        encoder_limit: positions of the encoder, or None.
    """

    def __init__(
        self, model: PreTrainedModel, special: Sequence[int], limit: int | None, encoder_limit: int | None
    ) -> None:
        self.model = model
        self._hears = hears(model)
        self._vocabulary = np.setdiff1d(np.arange(model.config.get_text_config(decoder=True).vocab_size), list(special))
        self._limit = limit or 1 << 30
        self._encoder_limit = encoder_limit or 1 << 30
        self._encodes = bool(model.config.is_encoder_decoder)
        self._start = _start_token(model) if self._encodes else 0
        rng = np.random.default_rng(1)
        self._batch = self._script(rng, _PROMPTS, _STEPS)
        room = self._limit - _EXTENSION - 1
        self._long = self._script(rng, (max(1, min(_LONG, room)),), min(_EXTENSION, self._limit - 2))

    def check(self, sessions: Mapping[str, Session], dtype: str) -> float:
        """Compare the graphs with torch.

        Returns:
            The largest difference as a share of the tolerance: 1 is the limit.

        Raises:
            VerificationError: a difference above the tolerance, or a graph that does not run.
        """
        try:
            return max(
                self._check_steps(sessions, dtype),
                self._check_beams(sessions, dtype),
                self._check_long(sessions, dtype),
            )
        except SessionError as error:
            raise VerificationError(str(error)) from error

    def reference(self, role: str) -> Reference:
        """Ragged prompts, forced steps, and torch's logits at some places, for the manifest."""
        script = self._script(np.random.default_rng(2), _REFERENCE_PROMPTS, _REFERENCE_STEPS)
        inputs = {"prompt": _padded(script.prompts), "prompt_mask": _mask(script.prompts), "forced": script.forced}
        recorded = {name: record(array) for name, array in inputs.items()}
        for name, array in self._encoder_inputs(script.encoded).items():
            recorded[name] = feed(array)[1]
        return Reference(
            role=role,
            inputs=recorded,
            outputs={"logits": sampled(script.logits, None)},
            tolerance=dict(REFERENCE_TOLERANCE),
        )

    def _check_steps(self, sessions: Mapping[str, Session], dtype: str) -> float:
        """A ragged batch, a token at a time."""
        script = self._batch
        state, logits = self._begin(sessions, script, script.forced.shape[1])
        shares = [share(logits, script.logits[:, 0], dtype, "logits", "after ragged prompts")]
        for step, tokens in enumerate(script.forced.T):
            shares.append(share(state.step(tokens), script.logits[:, step + 1], dtype, "logits", f"in step {step + 1}"))
        return max(shares)

    def _check_beams(self, sessions: Mapping[str, Session], dtype: str) -> float:
        """Beams that read different tokens and continue each other."""
        script, rng = self._batch, np.random.default_rng(3)
        state, _ = self._begin(sessions, script, _STEPS)
        state.expand(_BEAMS)
        rows = len(script.prompts) * _BEAMS
        sequences = [list(script.prompts[row // _BEAMS]) for row in range(rows)]
        worst = 0.0
        for _ in range(_STEPS - 1):
            tokens = rng.choice(self._vocabulary, rows)
            logits = state.step(tokens)
            for row, token in enumerate(tokens.tolist()):
                sequences[row].append(token)
            checked = rng.choice(rows, 3, replace=False)
            wanted = np.stack([self._torch(script.encoded, row // _BEAMS, sequences[row])[-1] for row in checked])
            worst = max(worst, share(logits[checked], wanted, dtype, "logits", "among beams"))
            parents = np.arange(rows) // _BEAMS * _BEAMS + rng.integers(0, _BEAMS, rows)
            state.reorder(parents)
            sequences = [list(sequences[parent]) for parent in parents]
        return worst

    def _check_long(self, sessions: Mapping[str, Session], dtype: str) -> float:
        """A long prompt, several tokens at once, some of them taken back."""
        script = self._long
        count = script.forced.shape[1]
        state, logits = self._begin(sessions, script, count)
        shares = [share(logits, script.logits[:, 0], dtype, "logits", "after a long prompt")]
        shares.append(
            share(state.extend(script.forced[0]), script.logits[0, 1:], dtype, "logits", "for several tokens at once")
        )
        back = min(_REWOUND, count)
        state.rewind(back)
        for step in range(count - back, count):
            found = state.step(script.forced[:, step])
            shares.append(share(found, script.logits[:, step + 1], dtype, "logits", "after taking tokens back"))
        return max(shares)

    def _begin(self, sessions: Mapping[str, Session], script: Script, steps: int) -> tuple[DecoderState, Floats]:
        encoded: dict[str, Any] | None = None
        if self._encodes:
            inputs = self._encoder_inputs(script.encoded)
            outputs = sessions["encoder_model"].run(inputs)
            encoded = {name.replace("present", "past_key_values"): value for name, value in outputs.items()}
            if "attention_mask" in inputs:
                encoded["encoder_attention_mask"] = inputs["attention_mask"]
        session = sessions["decoder_model" if self._encodes else "model"]
        lengths = np.array([len(prompt) for prompt in script.prompts])
        state = DecoderState(session, len(lengths), int(lengths.max()) + steps, encoded)
        return state, state.prefill(_padded(script.prompts), lengths)

    def _script(self, rng: np.random.Generator, lengths: Sequence[int], steps: int) -> Script:
        """Random tokens; of an encoder-decoder the lengths are the encoder's, and the decoder's prompts are equal."""
        encoded: Sequence[Any] = []
        if self._encodes:
            encoded = self._sounds(rng, lengths) if self._hears else self._texts(rng, lengths)
            prompts = [[self._start, int(rng.choice(self._vocabulary))] for _ in lengths]
        else:
            room = max(1, self._limit - steps)
            prompts = [rng.choice(self._vocabulary, min(length, room)).tolist() for length in lengths]
        forced = rng.choice(self._vocabulary, (len(lengths), steps)).astype(np.int64)
        logits = []
        for row, prompt in enumerate(prompts):
            whole = self._torch(encoded, row, [*prompt, *forced[row].tolist()])
            logits.append(whole[len(prompt) - 1 :])
        return Script(encoded, prompts, forced, np.stack(logits))

    def _texts(self, rng: np.random.Generator, lengths: Sequence[int]) -> list[list[int]]:
        return [rng.choice(self._vocabulary, min(length, self._encoder_limit)).tolist() for length in lengths]

    def _sounds(self, rng: np.random.Generator, lengths: Sequence[int]) -> list[Floats]:
        """Noise, as the manifest can hold it: spectrograms, or samples, which make a longer sound for a longer prompt.

        Sounds of a batch are equally long.
        """
        shape = sound_shape(self.model) or (_SAMPLES * max(lengths),)
        noise = rng.standard_normal((len(lengths), *shape), dtype=np.float32)
        return list(feed(noise)[0])

    def _encoder_inputs(self, encoded: Sequence[Any]) -> dict[str, NDArray[Any]]:
        if not self._encodes:
            return {}
        if self._hears:
            return {self.model.main_input_name: np.stack(encoded)}
        return {"input_ids": _padded(encoded), "attention_mask": _mask(encoded)}

    def _torch(self, encoded: Sequence[Any], row: int, tokens: list[int]) -> Floats:
        """Torch's logits after each token of one sequence, without a cache, ``(length, vocab)``."""
        ids = torch.tensor([tokens], device=self.model.device)
        arguments = {"input_ids": ids}
        if self._encodes:
            inputs = torch.from_numpy(np.asarray([encoded[row]])).to(self.model.device)
            arguments = {self.model.main_input_name: inputs, "decoder_input_ids": ids}
        try:
            with torch.inference_mode():
                logits: Floats = self.model(**arguments, use_cache=False).logits[0].float().cpu().numpy()
        except (RuntimeError, IndexError, ValueError) as error:
            raise ExportError(f"torch cannot run {type(self.model).__name__}: {error}") from error
        return logits


def open_sessions(paths: Mapping[str, Path], device: str) -> dict[str, Session]:
    """The graphs by role.

    Raises:
        VerificationError: one cannot be loaded.
    """
    try:
        return {role: Session(path, Settings(device=device)) for role, path in paths.items()}
    except SessionError as error:
        raise VerificationError(str(error)) from error


def _start_token(model: PreTrainedModel) -> int:
    for source in (model.generation_config, model.config):
        for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
            token = getattr(source, name, None)
            if token is not None:
                return int(token[0] if isinstance(token, list) else token)
    return 0


def _padded(rows: Sequence[Sequence[int]]) -> Ints:
    array = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row
    return array


def _mask(rows: Sequence[Sequence[int]]) -> Ints:
    lengths = np.array([len(row) for row in rows])
    return (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
