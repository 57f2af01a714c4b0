"""Sentences with their sentiment from four domains: product reviews, film reviews, newspaper editorials and tweets.

Hutto and Gilbert 2014, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text": every
sentence was rated from -4 to 4 by several people. A mean of .5 or more is `positive`, of -.5 or less `negative`; what
lies between is left out. The texts are quoted from their authors: cite the paper, do not distribute them.
"""

import io
import tarfile

from support import recipes, texts

ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAINS = {
    "amazon": "amazonReviewSnippets",
    "movie": "movieReviewSnippets",
    "nyt": "nytEditorialSnippets",
    "tweets": "tweets",
}


def labelled(table):
    """(text, label) of the lines `id TAB mean rating TAB text` that have a clear sentiment."""
    for line in table.decode("utf-8").split("\r\n"):
        if line:
            _, rating, text = line.split("\t")
            if abs(float(rating)) >= 0.5:
                yield text, "positive" if float(rating) > 0 else "negative"


def build(sources, folder):
    with tarfile.open(sources["vader"]) as package:
        inner = package.extractfile(ARCHIVE).read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        tables = {
            domain: archive.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt").read()
            for domain, name in DOMAINS.items()
        }
    parts = [(f"{domain}.jsonl", list(labelled(table))) for domain, table in tables.items()]
    texts.save(folder, __doc__, parts)


recipes.main(build)
