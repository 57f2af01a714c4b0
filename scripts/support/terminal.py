"""What the scripts say: one line per action, on standard error, so that standard output stays for results."""

import sys
import zipfile

from .cache import SetupError


def speaker(topic):
    return lambda text: print(f"{topic}: {text}", file=sys.stderr, flush=True)


def run(main):
    """Runs `main` and turns the expected failures into one readable line and a non-zero exit status."""
    try:
        sys.exit(main())
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: what was finished is kept; run the same command to go on.")
