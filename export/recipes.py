"""The one table that joins a task to the way its graph is exported."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torchless import tasks
from torchless.errors import TaskError


@dataclass(frozen=True)
class Output:
    """One output of a graph: a field of the model's output, and whether it has a value for each token.

    Attributes:
        name: the field's name, which is also the graph's output name.
        per_token: the shape starts ``(batch, length)``; values at padded positions mean nothing.
        optional: left out where the model does not give it.
    """

    name: str
    per_token: bool
    optional: bool = False


@dataclass(frozen=True)
class Recipe:
    """How a task is exported, under the task name by which its model class is found.

    Attributes:
        task: the bundle's task.
        outputs: of the model.
        generates: whether the model writes a text token by token, over a cache.
        encodes: whether an encoder reads the input first.
        reads: what an input is: "text", "sound" or "image".
    """

    task: str
    outputs: tuple[Output, ...]
    generates: bool = False
    encodes: bool = False
    reads: str = "text"

    def for_model(self, is_encoder_decoder: bool) -> Recipe:
        """The recipe for a model: speech is recognized by classifying frames, or by generating a text."""
        if self.task != "automatic-speech-recognition":
            return self
        return replace(self, generates=is_encoder_decoder, encodes=is_encoder_decoder)


RECIPES = {
    recipe.task: recipe
    for recipe in (
        Recipe("text-classification", (Output("logits", per_token=False),)),
        Recipe("token-classification", (Output("logits", per_token=True),)),
        Recipe("question-answering", (Output("start_logits", per_token=True), Output("end_logits", per_token=True))),
        Recipe("fill-mask", (Output("logits", per_token=True),)),
        Recipe("feature-extraction", (Output("last_hidden_state", per_token=True),)),
        Recipe("text-generation", (Output("logits", per_token=True),), generates=True),
        Recipe("text2text-generation", (Output("logits", per_token=True),), generates=True, encodes=True),
        Recipe("audio-classification", (Output("logits", per_token=False),), reads="sound"),
        Recipe("automatic-speech-recognition", (Output("logits", per_token=True),), reads="sound"),
        Recipe("image-classification", (Output("logits", per_token=False),), reads="image"),
        Recipe(
            "image-feature-extraction",
            (Output("last_hidden_state", per_token=False), Output("pooler_output", per_token=False, optional=True)),
            reads="image",
        ),
    )
}


def recipe_for(task: str) -> Recipe:
    """The recipe of a task, of an alias, or of the task whose bundle serves it.

    Raises:
        TaskError: no such task, or one that cannot be exported.
    """
    name = tasks.normalize(task)
    name = tasks.SERVED_BY.get(name, name)
    if name not in RECIPES:
        raise TaskError(f"task {task!r} cannot be exported; tasks that can: {', '.join(RECIPES)}")
    return RECIPES[name]
