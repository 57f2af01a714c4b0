"""The cache outside the checkout: where it is, and how a folder gets into it whole or not at all.

A folder is built under a temporary name, described by a manifest written last, then renamed into place. Whatever
has no manifest, or disagrees with it, is unfinished and is built again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MANIFEST = "manifest.json"

# Every finished file carries this modification time (2020-01-01 UTC). A file with another one was touched since,
# so only such files need to be read to know whether they are still what was installed.
FINISHED = 1_577_836_800


class SetupError(Exception):
    """What went wrong and what to do about it, for people to read."""


def root():
    """`GRAFT_CACHE`, else `graft` in the user's cache folder."""
    if chosen := os.environ.get("GRAFT_CACHE"):
        return pathlib.Path(chosen).expanduser().absolute()
    parent = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(parent).expanduser().absolute() / "graft"


@contextlib.contextmanager
def locked(name):
    """Keeps two runs from building the same thing at once; the second waits, then finds it done."""
    folder = root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name.replace("/", "-"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases it even after kill -9
        yield


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def problem(folder, recipe, thorough=False):
    """Why `folder` is not what `recipe` describes, or None where it is. `thorough` reads every byte."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = manifest["files"]
    except FileNotFoundError:
        return "is unfinished" if folder.exists() else "is not there"
    except (ValueError, KeyError, TypeError):
        return "has an unreadable manifest"
    if manifest.get("recipe") != recipe:
        return "was made by another recipe"
    for name, expected in files.items():
        path = folder / name
        try:
            status = path.stat()
        except FileNotFoundError:
            return f"lacks {name}"
        if status.st_size != expected["size"]:
            return f"has {name} with {status.st_size} bytes instead of {expected['size']}"
        if thorough or int(status.st_mtime) != FINISHED:
            if sha256(path) != expected["sha256"]:
                return f"has {name} with other content than was installed"
    return None


def tree_hash(folder):
    """One sha256 over the names and contents that the manifest lists: equal for equal trees."""
    files = json.loads((folder / MANIFEST).read_text())["files"]
    lines = "".join(f"{files[name]['sha256']}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def finish(folder, recipe):
    """Sets the times, lists every file with size and sha256, and writes the manifest, last."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        os.utime(path, (FINISHED, FINISHED))
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": sha256(path)}
    text = json.dumps({"recipe": recipe, "files": files}, indent=1, sort_keys=True) + "\n"
    unfinished = folder / f"{MANIFEST}.partial"
    with open(unfinished, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / MANIFEST)


def ensure(folder, recipe, build, say, thorough=False, again=False):
    """Makes `folder` hold what `build(temporary folder)` writes, unless it already does. True where it was built."""
    with locked(folder.relative_to(root()).as_posix()):
        reason = problem(folder, recipe, thorough)
        if reason is None and not again:
            return False
        if reason and folder.exists():
            say(f"{folder} {reason}: building it again")
        for left in folder.parent.glob(f"{folder.name}.*.partial"):
            remove(left)  # by a run that was killed: the lock says that nobody needs it
        # The process number keeps out what a killed run's own children may still be writing.
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        unfinished.mkdir(parents=True)
        try:
            build(unfinished)
            finish(unfinished, recipe)
            remove(folder)
            unfinished.rename(folder)
        except BaseException:
            remove(unfinished)
            raise
        return True


def link(path, target):
    """Points the symbolic link `path` at `target`, atomically; a real file or folder there is left alone."""
    if path.is_symlink() and os.readlink(path) == str(target):
        return False
    if path.exists() and not path.is_symlink():
        raise SetupError(f"{path} is a real file or folder, not a link: move it away, then run this again.")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.partial")
    remove(unfinished)
    unfinished.symlink_to(target)
    unfinished.rename(path)
    return True
