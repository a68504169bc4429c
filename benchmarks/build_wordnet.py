"""Make harness/language/nouns.tsv.gz and its licence from WordNet 3.0's data.noun.

Debian's package wordnet-base contains the file, and so does Princeton's WordNet-3.0.tar.gz, in
dict/. The text is the same every time; with one version of Python the bytes are, too.

    python benchmarks/build_wordnet.py /usr/share/wordnet/data.noun
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

from harness.store.files import atomic_write, write_text

FOLDER = Path(__file__).parents[1] / "harness" / "language"
HYPERNYMS = ("@", "@i")  # kinds and instances: Paris is an instance of a national capital


def row(line):
    """Return ``wnid, lemmas, hypernyms, gloss`` of one line; wndb(5WN) describes its fields."""
    fields, _, gloss = line.partition(" | ")
    parts = fields.split(" ")
    words = int(parts[3], 16)
    lemmas = ", ".join(parts[4 : 4 + 2 * words : 2]).replace("_", " ")
    pointers = parts[5 + 2 * words :]
    hypernyms = [
        f"n{offset}"
        for kind, offset in zip(pointers[::4], pointers[1::4], strict=False)
        if kind in HYPERNYMS
    ]
    return "\t".join([f"n{parts[0]}", lemmas, " ".join(hypernyms), gloss.strip()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_noun", type=Path)
    lines = parser.parse_args().data_noun.read_text(encoding="ascii").splitlines()
    licence = [line[4:].strip() for line in lines if line.startswith("  ")]  # after its number
    table = "\n".join(row(line) for line in lines if not line.startswith("  "))
    packed = gzip.compress(table.encode(), compresslevel=9, mtime=0)
    atomic_write(FOLDER / "nouns.tsv.gz", lambda file: file.write(packed))
    write_text(FOLDER / "nouns.LICENSE", "\n".join(licence) + "\n")
    print(f"{table.count(chr(10)) + 1:,} synsets in {len(packed):,} bytes")


if __name__ == "__main__":
    main()
