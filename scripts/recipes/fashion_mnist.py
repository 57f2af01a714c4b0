"""Fashion-MNIST, 70,000 grey pictures of 28 pixels in ten classes, in the four IDX files of its authors."""

import pathlib
import shutil
import tempfile

from support import downloads, recipes

FILES = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        unpacked = downloads.extracted(sources["fashion-mnist"], pathlib.Path(work))
        for name in FILES:
            shutil.move(unpacked / "usr/share/datasets/fashion-mnist" / f"{name}-ubyte.gz", folder)


recipes.main(build)
