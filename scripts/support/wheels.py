"""Unpacks chosen files of a wheel, each checked against the sha256 that the wheel's own RECORD lists for it."""

import base64
import csv
import hashlib
import io
import zipfile

from .cache import SetupError


def unpack(wheel, destination, place):
    """Writes every member for which `place(name)` gives a relative path to that path under `destination`."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        records = [name for name in names if name.endswith(".dist-info/RECORD")]
        if len(records) != 1:
            raise SetupError(f"{wheel.name} has {len(records)} RECORD files instead of one: it is not a sound wheel.")
        rows = csv.reader(io.TextIOWrapper(archive.open(records[0]), encoding="utf-8"))
        recorded = {row[0]: row[1] for row in rows if row}
        for name in names:
            place_at = None if name.endswith("/") else place(name)
            if place_at is None:
                continue
            path = (destination / place_at).resolve()
            if not path.is_relative_to(destination.resolve()):
                raise SetupError(f"{wheel.name} holds {name!r}, which would land outside {destination}.")
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with archive.open(name) as source, open(path, "wb") as target:
                while block := source.read(1 << 20):
                    digest.update(block)
                    target.write(block)
            found = "sha256=" + base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            if recorded.get(name) != found:
                raise SetupError(f"{wheel.name}: {name} does not have the sha256 that the wheel's RECORD lists.")
