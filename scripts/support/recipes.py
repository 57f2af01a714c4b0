"""How a recipe is run: `python -m recipes.NAME FOLDER SOURCE=PATH...`, writing what it builds into FOLDER."""

import pathlib
import sys


def main(build):
    folder, *sources = sys.argv[1:]
    build({name: pathlib.Path(path) for name, path in (source.split("=", 1) for source in sources)},
          pathlib.Path(folder))
