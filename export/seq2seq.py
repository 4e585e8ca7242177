"""Encoder-decoder models: the two flat modules that are traced.

The encoder's graph ends in the keys and values of every cross-attention, so that a decoder's step never sees the
encoder's hidden states.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from .cached_attention import Crossed, HandedThrough, Recorder, Step, stepping
from .decoder import kept_logits, last_tokens, new_step, pairs


class Seq2SeqEncoder(torch.nn.Module):
    """The encoder, and the projections of its hidden states that the decoder attends to."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode.

        Args:
            input_ids: int64 ``(batch, length)``.
            attention_mask: int64 ``(batch, length)``.

        Returns:
            Cross keys and values by layer, in turn, each ``(batch, heads, length, head)``.
        """
        return self._encode({"input_ids": input_ids, "attention_mask": attention_mask}, attention_mask)

    def _encode(self, inputs: dict[str, torch.Tensor], attention_mask: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        step = Step()
        kept = Recorder(step)
        with stepping(step):
            encoded = self.model.get_encoder()(**inputs, return_dict=True)
            hidden = encoded.last_hidden_state
            # The decoder is run for what it projects; the rest of its work reaches no output and is dropped.
            self.model(
                attention_mask=attention_mask,
                encoder_outputs=_encoded(hidden),
                decoder_input_ids=torch.ones((hidden.shape[0], 1), dtype=torch.int64, device=hidden.device),
                past_key_values=EncoderDecoderCache(HandedThrough(step), kept),
                use_cache=True,
                return_dict=True,
            )
        return tuple(tensor for layer in sorted(kept.kept) for tensor in kept.kept[layer])


class SpeechEncoder(Seq2SeqEncoder):
    """An encoder that hears a whole sound: none of it is padding to it."""

    def forward(self, sound: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        """Encode float32 ``(batch, mels, frames)`` or ``(batch, samples)``; returns as :class:`Seq2SeqEncoder`."""
        return self._encode({self.model.main_input_name: sound}, None)


class Seq2SeqDecoder(torch.nn.Module):
    """The decoder over its cache and the encoder's keys and values.

    Args:
        model: the whole model.
        aligned: layers of which the queries of the cross-attention are outputs too.
    """

    def __init__(self, model: PreTrainedModel, aligned: Sequence[int] = ()) -> None:
        super().__init__()
        self.model = model
        self._hidden = int(model.get_encoder().config.hidden_size)
        self._aligned = tuple(aligned)

    def forward(
        self,
        input_ids: torch.Tensor,
        encoder_attention_mask: torch.Tensor,
        decoder_attention_mask: torch.Tensor,
        past_key_values: Sequence[torch.Tensor],
        encoder_key_values: Sequence[torch.Tensor],
        logits_from_last: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Decode.

        Args:
            input_ids: int64 ``(rows, length)``; the rows of an input, its beams, follow each other.
            encoder_attention_mask: int64 ``(batch, encoder length)``; rows are a multiple of the batch.
            decoder_attention_mask: int64 ``(rows, total)``, ones.
            past_key_values: keys and values by layer, in turn, each ``(rows, heads, capacity, head)``.
            encoder_key_values: cross keys and values, each ``(batch, heads, encoder length, head)``.
            logits_from_last: int64 ``(kept,)``.

        Returns:
            Logits ``(rows, kept, vocab)``, then the decoder's keys and values.
        """
        return self._decode(
            input_ids, encoder_attention_mask, decoder_attention_mask, past_key_values, encoder_key_values,
            logits_from_last,
        )  # fmt: skip

    def _decode(
        self,
        input_ids: torch.Tensor,
        encoder_attention_mask: torch.Tensor | None,
        decoder_attention_mask: torch.Tensor,
        past_key_values: Sequence[torch.Tensor],
        encoder_key_values: Sequence[torch.Tensor],
        logits_from_last: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        step = new_step(input_ids, decoder_attention_mask, past_key_values)
        step.encoder = pairs(encoder_key_values)
        last = last_tokens(step, step.past_length, logits_from_last)
        batch, _, length, _ = encoder_key_values[0].shape
        # Never read: only its size counts, where cross keys and values are there.
        hidden = torch.zeros((batch, length, self._hidden), dtype=encoder_key_values[0].dtype)
        with stepping(step), kept_logits(self.model, last):
            result = self.model(
                attention_mask=encoder_attention_mask,
                encoder_outputs=_encoded(hidden),
                decoder_input_ids=input_ids,
                decoder_attention_mask=decoder_attention_mask,
                past_key_values=Crossed(step),
                use_cache=True,
                return_dict=True,
            )
        present = (tensor for layer in sorted(step.present) for tensor in step.present[layer])
        return result.logits, *present, *(step.queries[layer] for layer in self._aligned)


class SpeechDecoder(Seq2SeqDecoder):
    """A decoder that attends to all that its encoder heard."""

    def forward(  # type: ignore[override]
        self,
        input_ids: torch.Tensor,
        decoder_attention_mask: torch.Tensor,
        past_key_values: Sequence[torch.Tensor],
        encoder_key_values: Sequence[torch.Tensor],
        logits_from_last: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Decode; arguments and returns as :class:`Seq2SeqDecoder`, and queries ``(rows, length, heads * head)``."""
        return self._decode(
            input_ids, None, decoder_attention_mask, past_key_values, encoder_key_values, logits_from_last
        )


def _encoded(hidden: torch.Tensor) -> BaseModelOutput:
    """The encoder's output as models take it, with the mask that some look for."""
    output = BaseModelOutput(last_hidden_state=hidden)
    output.attention_mask = None
    return output
