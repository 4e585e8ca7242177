"""Checkpoints of karpathy/llama2.c, as Hugging Face checkpoints."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors


def read_llama(weights: Path, vocabulary: Path, folder: Path) -> None:
    """Write a llama2.c checkpoint and its tokenizer as a Hugging Face checkpoint."""
    content = weights.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, length = struct.unpack("7i", content[:28])
    numbers = np.frombuffer(content, dtype=np.float32, offset=28)
    place = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal place
        size = int(np.prod(shape))
        place += size
        return numbers[place - size : place].reshape(shape)

    head = dim // heads
    kv = kv_heads * head
    parts = {"embed": take(abs(vocab), dim), "norm1": take(layers, dim), "q": take(layers, dim, dim)}
    parts |= {"k": take(layers, kv, dim), "v": take(layers, kv, dim), "o": take(layers, dim, dim)}
    parts |= {"norm2": take(layers, dim), "w1": take(layers, hidden, dim), "w2": take(layers, dim, hidden)}
    parts |= {"w3": take(layers, hidden, dim), "norm": take(dim)}
    config = transformers.LlamaConfig(
        vocab_size=abs(vocab), hidden_size=dim, intermediate_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=length, rms_norm_eps=1e-5,
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    state = {"model.embed_tokens.weight": parts["embed"], "lm_head.weight": parts["embed"]}
    state["model.norm.weight"] = parts["norm"]
    for layer in range(layers):
        own = {
            "self_attn.q_proj": halves(parts["q"][layer], heads),
            "self_attn.k_proj": halves(parts["k"][layer], kv_heads),
            "self_attn.v_proj": parts["v"][layer], "self_attn.o_proj": parts["o"][layer],
            "mlp.gate_proj": parts["w1"][layer], "mlp.down_proj": parts["w2"][layer], "mlp.up_proj": parts["w3"][layer],
            "input_layernorm": parts["norm1"][layer], "post_attention_layernorm": parts["norm2"][layer],
        }  # fmt: skip
        state |= {f"model.layers.{layer}.{name}.weight": array for name, array in own.items()}
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
    model.save_pretrained(folder)
    tokenizer(vocabulary, abs(vocab)).save_pretrained(folder)


def halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rotary pairs that lie side by side, moved to where transformers wants them: half a head apart."""
    head = weight.shape[0] // heads
    return weight.reshape(heads, head // 2, 2, -1).transpose(0, 2, 1, 3).reshape(weight.shape)


def tokenizer(path: Path, size: int) -> transformers.PreTrainedTokenizerFast:
    """The vocabulary of pieces with scores: byte-pair encoding in the order of the scores."""
    content, place = path.read_bytes(), 4
    pieces = []
    for _ in range(size):
        score, length = struct.unpack_from("fi", content, place)
        piece = content[place + 8 : place + 8 + length].decode("utf-8")
        place += 8 + length
        pieces.append((piece.replace(" ", "▁"), score))
    pieces[:3] = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    ids = {piece: index for index, (piece, _) in enumerate(pieces)}
    # Byte-pair encoding by score; the pieces before these are special tokens and bytes.
    merges = sorted(
        (-score, ids[piece[:cut]], ids[piece[cut:]], (piece[:cut], piece[cut:]))
        for piece, score in pieces[259:]
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    )
    backend = Tokenizer(
        models.BPE(ids, [merge[3] for merge in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    backend.add_special_tokens([AddedToken(token, special=True) for token in ("<unk>", "<s>", "</s>")])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)
