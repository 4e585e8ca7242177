"""CTC bundles that write down what a clip's samples say: four samples of the value 3 are a frame of token 3."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.factories import save_graph

VOCAB = ("<pad>", "|", "a", "b", "c", "<unk>")
HOP = 4
RATE = 100

# The mean of each four samples, as far as they are not masked; a token is the likelier the nearer its id, and with the
# numbers stretched by this much the nearest all but certain.
STRETCH = 5
_GRAPH = """(float[batch, samples] input_values{mask}) => (float[batch, frames, vocab] logits) {{
    {masking}
    one = Constant<value_ints = [1]>()
    wide = Unsqueeze(heard, one)
    means = Conv<strides = [4]>(wide, kernel)
    distance = Sub(means, tokens)
    square = Mul(distance, distance)
    near = Neg(square)
    logits = Transpose<perm = [0, 2, 1]>(near)
}}"""
_MASKED = "kept = Cast<to = 1>(attention_mask)\n heard = Mul(input_values, kept)"


def make_ctc(
    folder: Path,
    *,
    masked: bool = False,
    vocab: Sequence[str] | None = VOCAB,
    tokenizer: dict[str, Any] | None = None,
    place: str = "onnx/model.onnx",
    width: int | None = None,
    **config: Any,
) -> Path:
    """Write a bundle.

    Args:
        folder: where to.
        masked: whether the graph takes, and the feature extractor gives, an attention mask.
        vocab: the tokens by id; None leaves vocab.json out.
        tokenizer: settings of tokenizer_config.json.
        place: of the graph.
        width: how many tokens the graph knows; None for those of the vocabulary.
        config: of config.json; ``feat_extract_norm`` is "layer" where the graph is masked.
    """
    tokens = len(vocab or VOCAB) if width is None else width
    mask = ", int64[batch, samples] attention_mask" if masked else ""
    text = _GRAPH.format(mask=mask, masking=_MASKED if masked else "heard = Identity(input_values)")
    kernel = np.full((1, 1, HOP), STRETCH / HOP, dtype=np.float32)
    ids = STRETCH * np.arange(tokens, dtype=np.float32)[:, None]
    save_graph(folder / place, text, {"kernel": kernel, "tokens": ids})
    norm = "layer" if masked else "group"
    settings = {"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForCTC"], "conv_kernel": [HOP],
                "conv_stride": [HOP], "feat_extract_norm": norm}  # fmt: skip
    sound = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "sampling_rate": RATE,
             "do_normalize": False, "padding_value": 0.0, "return_attention_mask": masked}  # fmt: skip
    files = {"config": settings | config, "preprocessor_config": sound, "tokenizer_config": tokenizer or {}}
    if vocab is not None:
        files["vocab"] = {token: index for index, token in enumerate(vocab)}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def spoken(text: str, tokens: Sequence[str] = VOCAB) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A clip that has a frame for each character of a text; ``_`` is the blank and ``?`` what is unknown."""
    names = {"_": "<pad>", "?": "<unk>"}
    ids = [tokens.index(names.get(character, character)) for character in text]
    return np.repeat(np.array(ids, dtype=np.float32), HOP)
