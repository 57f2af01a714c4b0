"""Texts encoded by the tokenizers package, in one call of `encode_batch` or one by one.

Before it serves, it leaves the SHA-256 of all ids, as 32-bit little-endian integers in the order of the texts, as
`--answer`.
"""

import os

# Read when the package starts its threads.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import array
import hashlib
import pathlib

import peer
from tokenizers import Tokenizer


def main():
    options = peer.arguments(__doc__, paths=("folder", "texts", "answer"), mode=("batch", "loop"))
    tokenizer = Tokenizer.from_file(str(pathlib.Path(options.folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = [line for line in pathlib.Path(options.texts).read_text().split("\n") if line]

    digest = hashlib.sha256()
    for encoding in tokenizer.encode_batch(texts):
        digest.update(array.array("i", encoding.ids).tobytes())
    pathlib.Path(options.answer).write_text(digest.hexdigest())

    def step():
        if options.mode == "batch":
            tokenizer.encode_batch(texts)
        else:
            for text in texts:
                tokenizer.encode(text)

    peer.run(f"tokenizers-{options.mode}", step, options)


if __name__ == "__main__":
    main()
