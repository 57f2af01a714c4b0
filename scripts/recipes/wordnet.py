"""WordNet 3.0, the lexical database of English: its `index.*` and `data.*` files, for attacks that replace words.

Miller 1995, "WordNet: A Lexical Database for English". Princeton's licence lets everybody use, copy and change it; the
text of it opens every file.
"""

import pathlib
import shutil
import tempfile

from support import downloads, recipes

FILES = [f"{kind}.{part}" for kind in ("index", "data") for part in ("adj", "adv", "noun", "verb")]
EXCEPTIONS = [f"{part}.exc" for part in ("adj", "adv", "noun", "verb")]  # inflections that no rule gives


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        unpacked = downloads.extracted(sources["wordnet"], pathlib.Path(work))
        for name in FILES + EXCEPTIONS:
            shutil.move(unpacked / "usr/share/wordnet" / name, folder)


recipes.main(build)
