"""`seedance-async` and `python -m seedance_async`: the command line's door."""

import sys

_EXTRA = frozenset({"cyclopts", "rich", "jinja2", "imagesize", "jsonschema"})


def main() -> None:
    """Run the command line and leave with its exit code; without the extra, say what to install."""
    try:
        from seedance_async.cli.app import run

        code = run(sys.argv[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(
            f"error: the command line needs the package {missing}, which is not installed: "
            f"pip install 'seedance-async[cli]'",
            file=sys.stderr,
        )
        code = 64
    sys.exit(code)


if __name__ == "__main__":
    main()
