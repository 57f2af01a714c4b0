"""Nine small classification tasks in VTAB's three kinds, made from the emoji, glyphs and Fashion-MNIST of the other recipes.

| task | kind | classes | what it asks |
|---|---|---|---|
| emoji-noto, emoji-openmoji, emoji-symbola | natural | 12 | what a picture of one style shows (face, plant, vehicle...) |
| fashion-mnist | specialized | 10 | which garment; the authors' own train and test sets |
| glyph-characters | specialized | 36 | which letter or digit, case ignored, in typefaces never seen |
| glyph-styles | specialized | 6 | serif, sans, mono, hand, blackletter or pixel, of typefaces never seen |
| rotation | structured | 8 | by which multiple of 45 degrees a letter is turned, in typefaces never seen |
| position | structured | 16 | in which cell of a 4 x 4 grid an emoji lies, of emoji never seen |
| count | structured | 6 | how many copies of an emoji there are, of emoji never seen |

The structured tasks, and the choice and division of all, are ours: nothing here is a published benchmark. A task of the first
row is `class/image`, of which the reader draws the splits; the others have `train/class/image` and `test/class/image`. Typefaces
and emoji that a test set is made of are in no training set of that task. Pictures are PNG of 28 to 112 pixels.
"""

import gzip
import hashlib
import pathlib
import shutil
import sys

from PIL import Image

from support import recipes

TRAIN = 1000
TEST = 600
# Letters and digits that tell their own rotation, and none of which is another one turned.
TURNING = ["upper-A", "upper-B", "upper-D", "upper-E", "upper-F", "upper-G", "upper-J", "upper-K", "upper-P", "upper-Q",
           "upper-R", "upper-T", "upper-Y", "digit-2", "digit-3", "digit-4", "digit-5"]


def digest(*words):
    """A number that depends on the words alone, whatever Python's version."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:8], "big")


class Draws:
    """Numbers that look random and depend on the words alone."""

    def __init__(self, *words):
        self.words, self.count = words, 0

    def below(self, bound):
        self.count += 1
        return digest(*self.words, self.count) % bound

    def between(self, low, high):
        return low + self.below(high - low + 1)


def spread(items, count, *words):
    """`count` of the items, in an order that the words decide."""
    return sorted(items, key=lambda item: digest(*words, item))[:count]


def shared(total, parts):
    """`total` dealt to `parts`, the first ones one more where it does not divide."""
    return [total // parts + (place < total % parts) for place in range(parts)]


def held_out(names, *words):
    """Those of the typefaces of a style, or of the emoji, that test sets are made of: one in four, rounded up."""
    names = set(names)
    return set(spread(names, -(-len(names) // 4), "held out", *words))


def save(picture, folder, *parts):
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def emoji(source, folder):
    for style in ("noto", "openmoji", "symbola"):
        if not (source / style).is_dir():
            print(f"tasks: WITHOUT emoji-{style}: that style could not be had", file=sys.stderr)
            continue
        shutil.copytree(source / style, folder / f"emoji-{style}")


def idx(path, header):
    with gzip.open(path) as file:
        return file.read()[header:]


def fashion(source, folder):
    names = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
    for part, prefix, count in (("train", "train", TRAIN), ("test", "t10k", TEST)):
        labels = idx(source / f"{prefix}-labels-idx1-ubyte.gz", 8)
        pixels = idx(source / f"{prefix}-images-idx3-ubyte.gz", 16)
        for label, name in enumerate(names):
            places = [place for place, value in enumerate(labels) if value == label][: count // len(names)]
            for place in places:
                picture = Image.frombytes("L", (28, 28), pixels[784 * place : 784 * (place + 1)])
                save(picture, folder, "fashion-mnist", part, name, f"{place:05d}.png")


def faces(source):
    """(style, character, typeface, path) of every glyph."""
    for path in sorted(source.glob("*/*/*.png")):
        yield path.parts[-3], path.parts[-2], path.stem, path


def glyphs(source, folder):
    found = list(faces(source))
    styles = {glyph[0] for glyph in found}
    tested = {style: held_out((glyph[2] for glyph in found if glyph[0] == style), style) for style in styles}
    for part, count in (("train", TRAIN), ("test", TEST)):
        own = [glyph for glyph in found if (glyph[2] in tested[glyph[0]]) == (part == "test")]
        tasks = {
            "glyph-characters": lambda style, character: character.split("-")[1].lower(),
            "glyph-styles": lambda style, character: style,
        }
        for task, label in tasks.items():
            classes = {}
            for style, character, face, path in own:
                classes.setdefault(label(style, character), []).append((style, character, face, path))
            for (name, items), share in zip(sorted(classes.items()), shared(count, len(classes))):
                for style, character, face, path in spread(items, share, task, part):
                    target = folder / task / part / name / f"{style}-{face}-{character}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
        rotation([glyph for glyph in own if glyph[1] in TURNING], part, count, folder)


def rotation(own, part, count, folder):
    for turn, share in enumerate(shared(count, 8)):
        for style, character, face, path in spread(own, share, "rotation", part, turn):
            angle = 45 * turn + Draws("angle", turn, path.stem, character, style).between(-8, 8)
            glyph = Image.open(path).resize((56, 56), Image.Resampling.BICUBIC)
            paper = Image.new("L", (80, 80))
            paper.paste(glyph, (12, 12))
            turned = paper.rotate(-angle, Image.Resampling.BICUBIC).resize((56, 56), Image.Resampling.BICUBIC)
            save(turned, folder, "rotation", part, f"{45 * turn:03d}", f"{style}-{face}-{character}.png")


def scenes(source, folder):
    pictures = {path.stem: path for path in sorted((source / "noto").glob("*/*.png"))}
    tested = held_out(pictures, "emoji")
    for part, count in (("train", TRAIN), ("test", TEST)):
        own = [name for name in pictures if (name in tested) == (part == "test")]
        for cell, share in enumerate(shared(count, 16)):
            for number in range(share):
                draws = Draws("position", part, cell, number)
                side = draws.between(20, 34)
                column, row = cell % 4, cell // 4
                centre = [min(max(28 * place + 14 + draws.between(-9, 9), side // 2), 112 - side // 2)
                          for place in (column, row)]
                paper = Image.new("RGB", (112, 112), "white")
                paste(paper, pictures[own[draws.below(len(own))]], centre, side)
                save(paper, folder, "position", part, f"row-{row}-column-{column}", f"{number:03d}.png")
        for copies, share in enumerate(shared(count, 6), start=1):
            for number in range(share):
                draws = Draws("count", part, copies, number)
                paper = Image.new("RGB", (112, 112), "white")
                picture = pictures[own[draws.below(len(own))]]
                # Three by three places, so that copies never overlap; they are of different sizes.
                for place in spread(range(9), copies, "places", part, copies, number):
                    centre = [37 * step + 19 + draws.between(-4, 4) for step in (place % 3, place // 3)]
                    paste(paper, picture, centre, draws.between(16, 28))
                save(paper, folder, "count", part, f"{copies}", f"{number:03d}.png")


def paste(paper, path, centre, side):
    picture = Image.open(path).resize((side, side), Image.Resampling.BICUBIC)
    paper.paste(picture, (centre[0] - side // 2, centre[1] - side // 2))


def build(sources, folder):
    folder = pathlib.Path(folder)
    emoji(sources["emoji-styles"], folder)
    fashion(sources["fashion-mnist"], folder)
    glyphs(sources["glyphs"], folder)
    scenes(sources["emoji-styles"], folder)


recipes.main(build)
