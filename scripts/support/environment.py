"""Python environments in the cache, so that set-up neither needs nor changes what the system's Python has."""

import hashlib
import platform
import subprocess
import sys

from . import cache

PIP = "pip==25.3"  # 25.1 and later resume a download whose connection broke


def _ensure(name, requirements, install, say):
    """A virtual environment with `requirements` (one text); the stamp is written last, so half of one is never used."""
    key = hashlib.sha256(requirements.encode()).hexdigest()[:12]
    folder = cache.root() / "python" / f"{name}-{platform.python_version()}-{key}"
    python = folder / "bin" / "python"
    stamp = folder / "complete"
    with cache.locked(f"python-{name}"):
        if not stamp.exists():
            cache.remove(folder)
            say(f"making the Python environment {folder}")
            try:
                install(folder, python)
            except subprocess.CalledProcessError as error:
                raise cache.SetupError(
                    f"Python could not make the environment {folder} (see above). On Debian it needs the package "
                    f"python3-venv: scripts/setup-system checks for it. ({error})"
                ) from error
            stamp.touch()
    return python


def _run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)


def pip(say):
    """The Python whose pip makes every download: one known version everywhere."""

    def install(folder, python):
        _run(sys.executable, "-m", "venv", folder)
        _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PIP)

    return _ensure("pip", PIP, install, say)


def building(say):
    """The Python that builds models and data, with the pinned packages of `requirements.txt`."""
    return _packages("building", "requirements.txt", say)


def peft(say):
    """The Python with PEFT that the end-to-end tests run, with the pinned packages of `requirements-peft.txt`."""
    return _packages("peft", "requirements-peft.txt", say)


def _packages(name, file, say):
    requirements = cache.CHECKOUT / "scripts" / file

    def install(folder, python):
        _run(sys.executable, "-m", "venv", "--without-pip", folder)
        _run(pip(say), "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check",
             "--no-cache-dir", "--only-binary=:all:", "-r", requirements)

    return _ensure(name, requirements.read_text(), install, say)
