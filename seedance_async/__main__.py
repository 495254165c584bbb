"""`seedance-async` and `python -m seedance_async`: the command line's door."""

import os
import sys

_EXTRA = frozenset({"cyclopts", "rich", "jinja2", "imagesize", "jsonschema"})


def main() -> None:
    """Run the command line and leave with its exit code; without the extra, say what to install."""
    _open_closed_streams()
    try:
        code = _run()
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
    except KeyboardInterrupt:  # before or between what takes interrupts by itself
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


def _run() -> int:
    # An interrupt must not get lost before anything is paid: the imports are guarded by the one,
    # all until the command takes interrupts by itself by the other.
    from seedance_async.cli.dropped import Dropped
    from seedance_async.cli.starting import Starting

    with Dropped(), Starting() as starting:
        from seedance_async.cli.app import run

        return run(sys.argv[1:], loaded=starting.give_back)


def _open_closed_streams() -> None:
    """Give a stream that the shell closed (`2>&-`) somewhere to go: nobody wants to see it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


if __name__ == "__main__":
    main()
