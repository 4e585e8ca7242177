"""The longest input, from position embeddings, their padding offset, rotation and the tokenizer."""

import pytest
import transformers

from tests.export import models
from torchless.export.limits import max_length

pytestmark = pytest.mark.export


def limit(model_type: str, tokenizer_limit: float = 1e30, **overrides: object) -> int | None:
    config = transformers.AutoConfig.for_model(
        model_type, **{**models.ARCHITECTURES[model_type], "pad_token_id": 1, **overrides}
    )
    tokenizer = models.tokenizer_for(model_type)
    tokenizer.model_max_length = int(tokenizer_limit)
    return max_length(transformers.AutoModel.from_config(config), tokenizer)


@pytest.mark.parametrize(
    ("model_type", "expected"),
    [
        ("bert", 64),
        ("distilbert", 64),
        ("electra", 64),
        ("xlm", 64),
        ("modernbert", 64),
        ("roberta", 64),  # 66 positions that start at 2
        ("xlm-roberta", 64),
        ("mpnet", 64),
        ("deberta-v2", None),
        ("xlnet", None),
    ],
)
def test_model(model_type: str, expected: int | None) -> None:
    assert limit(model_type) == expected


def test_tokenizer() -> None:
    assert limit("bert", tokenizer_limit=20) == 20
    assert limit("bert", tokenizer_limit=512) == 64
    assert limit("xlnet", tokenizer_limit=512) == 512


def test_deberta_with_absolute_positions() -> None:
    assert limit("deberta-v2", position_biased_input=True) == 64


def test_angles_that_change_behind_the_original_length() -> None:
    factors = [1.0, 2.0, 3.0, 4.0]
    scaling = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": factors, "long_factor": factors}
    changed = {"rope_parameters": scaling, "original_max_position_embeddings": 16}
    config = transformers.AutoConfig.for_model("phi3", **{**models.ARCHITECTURES["phi3"], "pad_token_id": 1, **changed})
    model = transformers.AutoModelForCausalLM.from_config(config)
    assert config.max_position_embeddings > 16
    assert max_length(model, models.tokenizer_for("phi3")) == 16
