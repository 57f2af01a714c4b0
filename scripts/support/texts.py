"""Labelled texts as JSON Lines: `{"text": ..., "label": ...}`, one a line, UTF-8."""

import collections
import json


def write(path, rows):
    """Writes (text, label) pairs in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for text, label in rows:
            file.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")


def read(path):
    """The (text, label) pairs of a file that `write` wrote."""
    with open(path, encoding="utf-8", newline="\n") as file:
        return [(row["text"], row["label"]) for row in map(json.loads, file)]


def orange(path):
    """The (text, label) pairs of one of Orange's tables: three lines of header, then `label TAB text`."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    rows = [line.rstrip("\r").split("\t") for line in lines[3:] if line]
    if lines[0].rstrip("\r") != "Category\tText" or any(len(row) != 2 for row in rows):
        raise ValueError(f"{path.name} is not a table of categories and texts")
    return [(text, label) for label, text in rows]


def table(parts):
    """A Markdown table of how many texts of each class there are; `parts` has a name and rows each."""
    lines = ["| file | texts | classes |", "|---|---|---|"]
    for name, rows in parts:
        counts = sorted(collections.Counter(label for _, label in rows).items())
        lines.append(f"| `{name}` | {len(rows):,} | {', '.join(f'{label} {count:,}' for label, count in counts)} |")
    return "\n".join(lines) + "\n"


def save(folder, about, parts):
    """Writes every part, and a README that says what they are."""
    for name, rows in parts:
        empty = sum(1 for text, _ in rows if not text.strip())
        if empty:
            raise ValueError(f"{name} has {empty} empty texts")
        write(folder / name, rows)
    (folder / "README.md").write_text(f"{about.strip()}\n\n{table(parts)}", encoding="utf-8")
