"""One module for each checkpoint: how to build it, and how well it does on held-out examples."""

from types import ModuleType

from . import commands, fill_mask, keywords, ner, nli, qa, sentiment, shapes, story, summary, translate

RECIPES: dict[str, ModuleType] = {
    "sentiment": sentiment,
    "nli": nli,
    "qa": qa,
    "fill-mask": fill_mask,
    "ner": ner,
    "translate": translate,
    "summary": summary,
    "story": story,
    "keywords": keywords,
    "commands": commands,
    "shapes": shapes,
}
