"""Ten domains of English texts, each a classification task with classes of its own, made of the other recipes' data.

amazon, movie, nyt and tweets ask for the sentiment (Hutto and Gilbert 2014); comp, rec, sci and talk for the group
that a message of 20 Newsgroups was sent to, among those of the same branch; reuters for the topic (R8); bbc for the
section. The newsgroups alt.atheism, soc.religion.christian and misc.forsale, alone in their branches, are left out.

The choice and the division into domains are ours: nothing here is a published benchmark. Domains that come divided have
`train.jsonl` and `test.jsonl`, the others one file. A text that a domain has twice is kept once, in training where it
is in both parts, so that no test text was trained on; one that stands under two labels is kept under neither.
"""

from support import recipes, texts

SENTIMENT = ("amazon", "movie", "nyt", "tweets")
BRANCHES = ("comp", "rec", "sci", "talk")


def without_repeats(parts):
    """The parts of one domain with every text in one of them, once."""
    labels = {}
    for _, rows in parts:
        for text, label in rows:
            labels.setdefault(text, set()).add(label)
    seen = set()
    for name, rows in parts:
        kept = []
        for text, label in rows:
            if len(labels[text]) == 1 and text not in seen:
                seen.add(text)
                kept.append((text, label))
        yield name, kept


def build(sources, folder):
    domains = {}
    for name in SENTIMENT:
        domains[name] = [(f"{name}.jsonl", texts.read(sources["sentiment"] / f"{name}.jsonl"))]
    divided = {part: texts.read(sources["newsgroups"] / "newsgroups" / f"{part}.jsonl") for part in ("train", "test")}
    for branch in BRANCHES:
        domains[branch] = [
            (f"{branch}/{part}.jsonl", [row for row in rows if row[1].startswith(f"{branch}.")])
            for part, rows in divided.items()
        ]
    domains["reuters"] = [
        (f"reuters/{part}.jsonl", texts.read(sources["reuters"] / "reuters" / f"{part}.jsonl"))
        for part in ("train", "test")
    ]
    domains["bbc"] = [("bbc.jsonl", texts.read(sources["bbc"] / "bbc.jsonl"))]
    parts = [part for name in sorted(domains) for part in without_repeats(domains[name])]
    texts.save(folder, __doc__, parts)


recipes.main(build)
