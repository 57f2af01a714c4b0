"""Latin letters and digits in six styles of type: one folder a style, one a class, 28-pixel grey PNG, white on black.

A picture is named after its font, so fonts can serve as the shots of few-shot tasks. Cropped tightly, letters such as
c and C look alike in most fonts: expect a ceiling with all 62 classes.
"""

import pathlib
import string
import tempfile

from PIL import Image, ImageDraw, ImageFont

from support import downloads, recipes

SIDE = 28
MARGIN = 4

# Font files by style, each after the name of its source in sources.tsv.
FONTS = {
    "serif": """
        font-dejavu-core:truetype/dejavu/DejaVuSerif.ttf
        font-liberation:truetype/liberation/LiberationSerif-Regular.ttf
        font-freefont-ttf:truetype/freefont/FreeSerif.ttf
        font-ebgaramond:opentype/ebgaramond/EBGaramond12-Regular.otf
        font-linuxlibertine:opentype/linux-libertine/LinLibertine_R.otf
        font-lindenhill:truetype/lindenhill/LindenHill.otf
        font-vollkorn:truetype/vollkorn/Vollkorn-Bold.ttf
        font-oldstandard:truetype/fonts-oldstandard/OldStandard-Regular.ttf
        font-crosextra-caladea:truetype/crosextra/Caladea-Regular.ttf
        font-sil-gentiumplus:truetype/gentiumplus/GentiumPlus-Bold.ttf
    """,
    "sans": """
        font-dejavu-core:truetype/dejavu/DejaVuSans.ttf
        font-liberation:truetype/liberation/LiberationSans-Regular.ttf
        font-freefont-ttf:truetype/freefont/FreeSans.ttf
        font-lato:truetype/lato/Lato-Regular.ttf
        font-open-sans:truetype/open-sans/OpenSans-Regular.ttf
        font-cabin:opentype/cabin/Cabin-Regular.otf
        font-cantarell:opentype/cantarell/Cantarell-Regular.otf
        font-karla:truetype/karla/Karla-Regular.otf
        font-crosextra-carlito:truetype/crosextra/Carlito-Bold.ttf
        font-league-spartan:opentype/league-spartan/LeagueSpartan-Bold.otf
        font-quicksand:truetype/quicksand/Quicksand-Regular.ttf
        font-dosis:opentype/dosis/Dosis-Book.otf
    """,
    "mono": """
        font-dejavu-core:truetype/dejavu/DejaVuSansMono.ttf
        font-liberation:truetype/liberation/LiberationMono-Regular.ttf
        font-freefont-ttf:truetype/freefont/FreeMono.ttf
        font-inconsolata:truetype/inconsolata/Inconsolata.otf
        font-firacode:truetype/firacode/FiraCode-Regular.ttf
        font-jetbrains-mono:truetype/jetbrains-mono/JetBrainsMono-Bold.ttf
        font-fantasque-sans:truetype/fantasque-sans/Normal/TTF/FantasqueSansMono-Regular.ttf
        font-monofur:truetype/monofur/monof55.ttf
        font-mononoki:truetype/mononoki/mononoki-Regular.ttf
        font-3270:truetype/3270/3270-Regular.ttf
    """,
    "hand": """
        font-breip:truetype/breip/Breip.ttf
        font-dancingscript:opentype/dancingscript/DancingScript-Regular.otf
        font-femkeklaver:truetype/femkeklaver/femkeklaver.ttf
        font-humor-sans:truetype/humor-sans/Humor-Sans.ttf
        font-kaushanscript:opentype/kaushanscript/KaushanScript-Regular.otf
        font-kristi:truetype/kristi/Kristi.ttf
        font-rufscript:truetype/rufscript/Rufscript010.ttf
        font-sjfonts:truetype/sjfonts/SteveHand.ttf
        font-tomsontalks:truetype/tomsontalks/TomsonTalks.ttf
        font-dkg-handwriting:truetype/fifthhorseman/dkg.ttf
        font-comic-neue:opentype/comic-neue/ComicNeue-Bold.otf
        font-bwht:opentype/bwht/BecauseWeBuild-Regular.otf
        font-leckerli-one:truetype/leckerli-one/LeckerliOne-Regular.ttf
        font-lobster:opentype/lobster/lobster.otf
    """,
    "blackletter": """
        font-blankenburg:truetype/blankenburg/Blankenburg_UNZ1A.ttf
        font-gamaliel:truetype/gamaliel/Gamaliel.ttf
        font-gotico-antiqua:opentype/gotico-antiqua/Zainer-GoticoAntiqua96G.otf
        font-gotico-antiqua:opentype/gotico-antiqua/Hamlet-Tertia18.otf
        font-gotico-antiqua:opentype/gotico-antiqua/Ptolemy-GreatPrimer18.otf
        font-gotico-antiqua:opentype/gotico-antiqua/Jessen-Mittel14.otf
        font-klaudia-berenika:truetype/klaudia-berenika/Klaudia.ttf
        font-joscelyn:opentype/joscelyn/Joscelyn-Regular.otf
        font-isabella:truetype/isabella/Isabella.ttf
    """,
    "pixel": """
        font-glasstty:truetype/glasstty/Glass_TTY_VT220.ttf
        font-proggy:truetype/proggy/ProggyTiny.ttf
        font-spleen:opentype/spleen/spleen-16x32.otf
        font-spleen:opentype/spleen/spleen-6x12.otf
        font-misaki:truetype/misaki/misaki_gothic.ttf
        font-misaki:truetype/misaki/misaki_mincho.ttf
        font-dotgothic16:truetype/dotgothic16/DotGothic16-Regular.ttf
        unifont:opentype/unifont/unifont.otf
    """,
}

# Folder names that stay apart on file systems which ignore case.
CLASSES = (
    {f"digit-{character}": character for character in string.digits}
    | {f"upper-{character}": character for character in string.ascii_uppercase}
    | {f"lower-{character}": character for character in string.ascii_lowercase}
)


def drawn(character, font):
    """The character, scaled to the same size in every font, centred; None where the font draws nothing."""
    picture = Image.new("L", (200, 200))
    ImageDraw.Draw(picture).text((60, 50), character, font=font, fill=255)
    box = picture.getbbox()
    if box is None:
        return None
    picture = picture.crop(box)
    scale = (SIDE - 2 * MARGIN) / max(picture.size)
    size = tuple(max(1, round(length * scale)) for length in picture.size)
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    frame = Image.new("L", (SIDE, SIDE))
    frame.paste(picture, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return frame


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = pathlib.Path(work)
        for style, fonts in FONTS.items():
            for source, file in (font.split(":") for font in fonts.split()):
                if not (work / source).exists():
                    downloads.extracted(sources[source], work / source)
                path = work / source / "usr/share/fonts" / file
                # The basic layout needs no library from the system, so the pixels are the same everywhere.
                font = ImageFont.truetype(path, 64, layout_engine=ImageFont.Layout.BASIC)
                for label, character in CLASSES.items():
                    picture = drawn(character, font)
                    if picture is None:
                        raise ValueError(f"{path.name} draws nothing for {character!r}")
                    target = folder / style / label / f"{path.stem}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    picture.save(target)


recipes.main(build)
