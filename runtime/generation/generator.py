"""Generating token ids with a bundle: the whole loop, step by step, or its parts for a loop written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..binding import DeviceArray
from ..errors import BundleError, InputError, OptionError, TaskError
from ..session import Array, Session
from .alignment import attention_weights
from .cache import check_fits, entries
from .config import GenerationConfig
from .decoder import DecoderState, LazyDecoder, memory_class
from .device import DeviceMemory
from .encoded import DeviceArrays, Encoded
from .growing import GrowingState
from .host import HostMemory
from .logits import AllowedTokens, Processor
from .loop import Seed, Steps, decode, run
from .memory import KEPT
from .output import Floats, GenerationOutput, Ints
from .stopping import StopRule

if TYPE_CHECKING:
    from ..bundle import Bundle

ENCODER = "encoder_model"
# Pairs of graphs for the first call and for those after it, in the order of preference. The first two are this
# project's; Optimum and transformers.js have all of them.
_DECODERS = (
    ("model", "model"),
    ("decoder_model", "decoder_model"),
    ("decoder_model_merged", "decoder_model_merged"),
    ("decoder_model", "decoder_with_past_model"),
)
# What other exporters' encoders call the hidden states that their decoders take.
_DECODER_INPUT = {"last_hidden_state": "encoder_hidden_states"}


class Generator:
    """Token ids in, token ids out. It holds no state of a request and may be shared between threads.

    Attributes:
        config: the checkpoint's options, which those of a call replace.
        is_encoder_decoder: whether inputs are encoded first.
        position_limit: tokens that a sequence may have, the prompt included; None where nothing limits them.

    Raises:
        TaskError: the bundle's graphs do not generate.

    Example:
        >>> generator = Bundle.open("models/gpt2").generator()      # doctest: +SKIP
        >>> generator.generate([[464, 3290]], max_new_tokens=18).sequences      # doctest: +SKIP
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.config = GenerationConfig.read(bundle.folder, bundle.config)
        self.is_encoder_decoder = ENCODER in bundle.dtypes
        # The graphs of the first call and of those after it, which are one in the bundles of this project.
        self._first, self._session = _decoders(bundle)
        self._in_place = KEPT in self._session.optional
        self.position_limit = _position_limit(bundle, self.is_encoder_decoder)
        self._vocabulary = int(bundle.config.get("vocab_size") or self._session.outputs[0].shape[-1])

    def generate(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        *,
        generation_config: GenerationConfig | None = None,
        seed: Seed = None,
        logits_processors: Sequence[Processor] = (),
        prefix_allowed_tokens_fn: AllowedTokens | None = None,
        stopping: StopRule | None = None,
        decoder_input_ids: Any = None,
        encoded: Encoded | None = None,
        **options: Any,
    ) -> GenerationOutput:
        """Generate to the end.

        Args:
            input_ids: int64 ``(rows, length)``; None begins with the beginning-of-sequence token.
            attention_mask: ``(rows, length)``, 0 where a row is padded, on either side; None where no row is.
            generation_config: options that replace the checkpoint's.
            seed: of sampling; a number gives the same tokens everywhere, None other ones every time.
            logits_processors: ``(tokens, scores) -> scores``, after those of the options.
            prefix_allowed_tokens_fn: ``(input, its tokens so far)`` to the ids that may come next.
            stopping: ``(tokens) -> bool or (rows,) bools``, asked after every step.
            decoder_input_ids: int64 ``(rows, length)``: what an encoder-decoder's answers must begin with, behind
                its start token; where ``encoded`` is given, all of them.
            encoded: what :meth:`encode` returned, instead of ``input_ids``.
            options: options of :class:`GenerationConfig`, which replace all others.

        Raises:
            InputError: ids that are none, out of the vocabulary, or too many for the model.
            OptionError: an unknown, malformed or contradicting option, or a cache that would not fit in memory.
        """
        return run(
            self.stream(
                input_ids,
                attention_mask,
                generation_config=generation_config,
                seed=seed,
                logits_processors=logits_processors,
                prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
                stopping=stopping,
                decoder_input_ids=decoder_input_ids,
                encoded=encoded,
                **options,
            )
        )

    def stream(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        *,
        generation_config: GenerationConfig | None = None,
        seed: Seed = None,
        logits_processors: Sequence[Processor] = (),
        prefix_allowed_tokens_fn: AllowedTokens | None = None,
        stopping: StopRule | None = None,
        decoder_input_ids: Any = None,
        encoded: Encoded | None = None,
        **options: Any,
    ) -> Steps:
        """The same, one :class:`Step` at a time; see :meth:`generate`. Everything is checked before the first step."""
        config = self.config.override(generation_config).replace(**options)
        if encoded is None:
            tokens, lengths = self._prompts(input_ids, attention_mask, config)
        else:
            tokens, lengths = self._no_tokens(input_ids, encoded)
        first, first_lengths = tokens, lengths
        if self.is_encoder_decoder:
            first = self._decoder_tokens(decoder_input_ids, len(tokens), config, whole=encoded is not None)
            first_lengths = np.full(len(first), first.shape[1])
        elif decoder_input_ids is not None:
            raise OptionError("decoder_input_ids are for encoder-decoder models: this model's prompt is its input_ids")
        tokenizer = self._bundle.tokenizer if config.stop_strings else None
        config = self._resolve(config, first, tokenizer is not None)
        copies = max(config.num_beams, config.num_return_sequences)
        if not self._in_place or memory_class(self._session) is HostMemory:
            check_fits(entries(self._session.inputs), len(first) * copies, config.max_length)
        padding = np.arange(tokens.shape[1]) >= lengths[:, None]
        if self.is_encoder_decoder and encoded is None:
            encoded = self.encode(tokens, ~padding)
        state = self.new_cache(len(first), config.max_length, encoded)
        return decode(
            LazyDecoder(state) if isinstance(state, DecoderState) else state,
            first,
            first_lengths,
            config,
            encoder_tokens=np.where(padding, -1, tokens) if self.is_encoder_decoder else None,
            seed=seed,
            logits_processors=logits_processors,
            prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
            stopping=stopping,
            tokenizer=tokenizer,
        )

    def encode(
        self, input_ids: Any = None, attention_mask: Any = None, *, features: Mapping[str, Array] | None = None
    ) -> Encoded:
        """Run the encoder once.

        Args:
            input_ids: int64 ``(rows, length)``.
            attention_mask: ``(rows, length)``, 0 where padded; None where nothing is.
            features: the encoder's inputs by name, for one that does not read texts: what a feature extractor makes.

        Raises:
            TaskError: the model has no encoder.
        """
        if not self.is_encoder_decoder:
            raise TaskError(f"{self._bundle.folder} has no encoder")
        inputs: dict[str, Array] = dict(features or {})
        if features is None:
            ids = np.asarray(input_ids, dtype=np.int64)
            mask = np.ones_like(ids) if attention_mask is None else np.asarray(attention_mask, dtype=np.int64)
            inputs = {"input_ids": ids, "attention_mask": mask}
        session = self._bundle.session(ENCODER)
        there = self._in_place and memory_class(self._session) is DeviceMemory
        outputs: Mapping[str, Array | DeviceArray] = session.run_on_device(inputs) if there else session.run(inputs)
        found: dict[str, Array | DeviceArray] = {
            _DECODER_INPUT.get(name, name.replace("present", "past_key_values")): value
            for name, value in outputs.items()
        }
        if "attention_mask" in inputs:
            found = {"encoder_attention_mask": inputs["attention_mask"], **found}
        kept = DeviceArrays(found)
        return Encoded(kept if there else dict(kept), len(next(iter(inputs.values()))))

    def cross_attention(self, encoded: Encoded, tokens: Any, heads: Sequence[tuple[int, int]]) -> Floats:
        """How much some heads of the decoder attend to each place of what was encoded, after each token.

        Args:
            encoded: what :meth:`encode` returned.
            tokens: int64 ``(rows, length)``, the decoder's tokens from the first; a row may be padded behind its end.
            heads: layer and head of each; the layers must be those that the export was told of (for speech by
                ``alignment_heads`` in generation_config.json).

        Returns:
            Weights, float32 ``(rows, heads, length, encoder length)``, which sum to 1 along the last axis.

        Raises:
            TaskError: the graph does not give the queries of a layer.
        """
        array = _integers("tokens", tokens)
        state = self.new_cache(len(array), array.shape[1], encoded)
        layers = sorted({layer for layer, _ in heads})
        if not isinstance(state, DecoderState) or not set(layers) <= set(state.aligned_layers):
            raise TaskError(f"the decoder of {self._bundle.folder} does not tell how the layers {layers} attend")
        return attention_weights(state.queries(array, layers), encoded.inputs, heads)

    def new_cache(self, rows: int, capacity: int, encoded: Encoded | None = None) -> DecoderState | GrowingState:
        """The model with nothing read yet, for a loop written by hand.

        Args:
            rows: sequences.
            capacity: tokens that each may grow to, the prompt included.
            encoded: what :meth:`encode` returned, for an encoder-decoder.

        Raises:
            OptionError: the cache would not fit in memory, or the encoder's output is missing or for other rows.
        """
        if (encoded is not None) != self.is_encoder_decoder:
            raise OptionError(f"encoded={'None' if encoded is None else '...'} does not suit {self._bundle.folder}")
        if encoded is not None and encoded.rows != rows:
            raise OptionError(f"{encoded.rows} encoded inputs for {rows} sequences: prefill them, then expand")
        inputs = None if encoded is None else encoded.inputs
        if not self._in_place:
            return GrowingState(self._first, self._session, rows, capacity, inputs)
        return DecoderState(self._session, rows, capacity, inputs)

    def start_tokens(self, rows: int) -> Ints:
        """What an encoder-decoder's answers begin with, int64 ``(rows, 1)``.

        Raises:
            OptionError: neither decoder_start_token_id nor bos_token_id is known.
        """
        return self._decoder_tokens(None, rows, self.config)

    def _prompts(self, input_ids: Any, attention_mask: Any, config: GenerationConfig) -> tuple[Ints, Ints]:
        """Token ids padded on the right, and the rows' lengths."""
        if input_ids is None:
            if config.bos_token_id is None or self.is_encoder_decoder:
                raise InputError("no input_ids, and no beginning-of-sequence token to start from")
            input_ids = [[config.bos_token_id]]
        ids = _integers("input_ids", input_ids)
        mask = np.ones_like(ids) if attention_mask is None else _integers("attention_mask", attention_mask)
        if mask.shape != ids.shape:
            raise InputError(f"input_ids have shape {ids.shape} and attention_mask has {mask.shape}")
        lengths = (mask != 0).sum(axis=1)
        if not ids.size or not lengths.all():
            raise InputError("a row of input_ids has no token")
        used = ids[mask != 0]
        if used.min() < 0 or used.max() >= self._vocabulary:
            raise InputError(f"input_ids must be from 0 to {self._vocabulary - 1}, not {used.min()} to {used.max()}")
        right = np.arange(ids.shape[1]) < lengths[:, None]
        tokens = np.zeros_like(ids)
        tokens[right] = used
        longest = int(lengths.max())
        return tokens[:, :longest], lengths

    def _no_tokens(self, input_ids: Any, encoded: Encoded) -> tuple[Ints, Ints]:
        """What stands for the tokens of inputs that are encoded already: rows without any."""
        if input_ids is not None or not self.is_encoder_decoder:
            raise OptionError("encoded is for encoder-decoder models, and instead of input_ids")
        return np.zeros((encoded.rows, 0), dtype=np.int64), np.zeros(encoded.rows, dtype=np.int64)

    def _decoder_tokens(self, given: Any, rows: int, config: GenerationConfig, *, whole: bool = False) -> Ints:
        """The decoder's first tokens: its start token, then those that the caller forces; or the caller's, whole."""
        if whole and given is not None:
            tokens = _integers("decoder_input_ids", given)
            if len(tokens) != rows or not tokens.size:
                raise InputError(f"decoder_input_ids of shape {tokens.shape} for {rows} inputs")
            return tokens
        start = config.decoder_start_token_id if config.decoder_start_token_id is not None else config.bos_token_id
        if start is None:
            raise OptionError("an encoder-decoder needs decoder_start_token_id or bos_token_id")
        first = np.full((rows, 1), start, dtype=np.int64)
        if given is None:
            return first
        tokens = _integers("decoder_input_ids", given)
        if len(tokens) != rows:
            raise InputError(f"{len(tokens)} rows of decoder_input_ids for {rows} inputs")
        return tokens if (tokens[:, :1] == first).all() else np.concatenate([first, tokens], axis=1)

    def _resolve(self, config: GenerationConfig, first: Ints, tokenizer: bool) -> GenerationConfig:
        """The request's options, within what the model's positions allow."""
        length, limit = first.shape[1], self.position_limit
        if limit is not None and length >= limit:
            raise InputError(f"a prompt of {length} tokens leaves no room: the model has {limit} positions")
        resolved = config.resolve(length, rows=len(first), position_limit=limit, tokenizer=tokenizer)
        if limit is None or resolved.max_length <= limit:
            return resolved
        asked = {"max_length", "max_new_tokens"} & resolved.explicit
        if asked:
            raise OptionError(
                f"{asked.pop()} asks for {resolved.max_length} tokens, {length} of them given, and the model has "
                f"{limit} positions: at most max_new_tokens={limit - length}"
            )
        return resolved.suggest(max_length=limit)


def _decoders(bundle: Bundle) -> tuple[Session, Session]:
    """The decoder's graphs for the first call and for those after it.

    Raises:
        TaskError: the bundle has no graph that takes a cache.
    """
    for first, later in _DECODERS:
        if first in bundle.dtypes and later in bundle.dtypes:
            session = bundle.session(later)
            if entries(session.inputs):
                return bundle.session(first), session
    raise TaskError(
        f"{bundle.folder} does not generate: no graph takes a cache of keys and values among {sorted(bundle.dtypes)}"
    )


def _position_limit(bundle: Bundle, encoder_decoder: bool) -> int | None:
    """Positions of the decoder."""
    if not encoder_decoder:
        return bundle.tokenizer.max_length if bundle.manifest is None else bundle.manifest.max_length
    limits = (bundle.config.get(name) for name in ("max_target_positions", "max_position_embeddings"))
    limit = next((limit for limit in limits if limit is not None), None)
    if not isinstance(limit, (int, type(None))):
        raise BundleError(f"{bundle.folder}/config.json gives {limit!r} positions")
    return limit


def _integers(name: str, values: Any) -> Ints:
    """An array of token ids of two dimensions."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} must be rows of equal length: {error}") from error
    if array.ndim != 2 or (array.dtype.kind not in "iub" and array.size):
        raise InputError(f"{name} must be integers of shape (rows, length), not {array.dtype} {array.shape}")
    return array.astype(np.int64)
