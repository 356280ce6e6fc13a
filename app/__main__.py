"""`python -m app` is `concord`."""

import sys

from app.kit.collector import resting


def main() -> int:
    """Run `concord`. While the program is read the collector of garbage rests: all of it stays, and looking at it again and
    again would be a fifth of the start."""
    with resting():
        from app.cli import main as run
    return run()


if __name__ == "__main__":
    sys.exit(main())
