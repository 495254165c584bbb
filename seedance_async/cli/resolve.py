"""`resolve`: settle a batch's rows in doubt."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from seedance_async.batch.dialect import ManifestError, Source
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.resolving import (
    Decision,
    DecisionsError,
    Problem,
    ask_service,
    look_up,
    problems_of,
    read_decisions,
    settle,
)
from seedance_async.cli.connection import find_service
from seedance_async.cli.doubts import (
    Listing,
    as_json,
    look,
    say_what_next,
    show,
)
from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.folder import check_folder, check_origin, next_command
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import console, print_json, tell
from seedance_async.cli.words import known_amount
from seedance_async.counting import counted

__all__ = ["resolve"]


@attrs.frozen(kw_only=True)
class Findings:
    """What a person found out, as flags."""

    request_id: Annotated[
        str | None,
        Parameter(metavar="ID", help="KEY was accepted: this is its job."),
    ] = None
    not_billed: Annotated[
        bool,
        Parameter(negative="", help="The rows were not accepted: they may be submitted again."),
    ] = False
    file: Annotated[
        Path | None,
        Parameter(
            name="--from",
            metavar="FILE.csv",
            help="Many at once: columns key, and request_id or not_billed (yes).",
        ),
    ] = None
    all: Annotated[bool, Parameter(negative="", help="With --not-billed: all doubts.")] = False
    yes: Annotated[
        bool, Parameter(name=["--yes", "-y"], negative="", help="With --all: without asking.")
    ] = False

    def check(self, keys: Sequence[str]) -> None:
        """Refuse flags and keys that do not say one clear thing.

        Raises:
            CommandError: With the forms that do.
        """
        there = {
            "--request-id": self.request_id is not None,
            "--not-billed": self.not_billed,
            "--from": self.file is not None,
            "--all": self.all,
        }
        given = frozenset(flag for flag, is_there in there.items() if is_there)
        if len(keys) not in _KEYS_WANTED.get(given, range(0)):
            raise CommandError(f"it is not clear what to do; give one of these forms:\n{_FORMS}")


_MANY: Final = 1_000_000_000
_KEYS_WANTED: Final[Mapping[frozenset[str], range]] = {
    frozenset(): range(1),
    frozenset({"--request-id"}): range(1, 2),
    frozenset({"--not-billed"}): range(1, _MANY),
    frozenset({"--from"}): range(1),
    frozenset({"--all", "--not-billed"}): range(1),
}
"""How many keys make sense with which flags."""

_FORMS: Final = "\n".join(
    f"  seedance-async resolve DIR {form}".rstrip()
    for form in (
        "",
        "KEY --request-id ID",
        "KEY... --not-billed",
        "--from FILE.csv",
        "--all --not-billed",
    )
)

_NOTHING = Findings()


def resolve(
    folder: Annotated[Path, Parameter(name="DIR", help="The --out of a batch.")],
    /,
    *keys: Annotated[str, Parameter(name="KEY", help="Rows in doubt; none: list them.")],
    findings: Annotated[Findings, Parameter(name="*")] = _NOTHING,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """List the rows of which nobody knows whether they were accepted, or settle them.

    Look for them among your generations on RunComfy's site first. An id is looked up at the
    service (free) before its row takes it; nothing is submitted. The next run of the batch
    downloads what was found, and submits again, and pays for, what was not billed.

    Lists with exit code 76 if there are doubts, 0 if there are none.
    """
    reporting.start()
    findings.check(keys)
    check_folder(folder)
    if findings.all:
        return _settle_all(folder, findings, reporting)
    if findings.file is not None:
        return _settle(folder, _read(findings.file), reporting)
    if keys:
        return _settle(folder, [Decision(key, findings.request_id) for key in keys], reporting)
    listing = run_async(look(folder))
    if reporting.json:
        print_json(as_json(folder, listing))
    else:
        show(listing)
    say_what_next(folder, listing)
    return Exit.PERSON if listing.doubts else Exit.OK


def _read(path: Path) -> list[Decision]:
    try:
        with path.open("rb") as stream:
            return read_decisions(Source(stream, str(path), "csv"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", Exit.DATA) from error
    except (ManifestError, DecisionsError) as error:
        raise CommandError(str(error), Exit.DATA) from error


def _settle_all(folder: Path, findings: Findings, reporting: Reporting) -> int:
    listing = run_async(look(folder, with_lock=True))
    if listing.doubts and not (findings.yes or listing.simulated):
        _ask(listing)
    return _settle(folder, [Decision(doubt.key) for doubt in listing.doubts], reporting)


def _ask(listing: Listing) -> None:
    """Ask on the terminal whether all doubts were looked at.

    Raises:
        CommandError: The answer is no, or nobody can answer.
    """
    again = [doubt for doubt in listing.doubts if doubt.line is not None]
    known = sum(doubt.estimate or 0 for doubt in again)
    estimate = known_amount(known, sum(doubt.estimate is None for doubt in again))
    tell(
        f"This says that no row of the {len(listing.doubts)} in doubt was accepted. "
        f"The next run of the batch submits {len(again)} again (estimate {estimate}), and pays a "
        f"second time for each that was accepted after all."
    )
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            "nobody can be asked: look at your generations on RunComfy's site, then add --yes. "
            "Nothing was changed."
        )
    console().print("Continue? \\[y/N] ", end="", style="bold", highlight=False)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("not confirmed: nothing was changed.")


def _settle(folder: Path, decisions: list[Decision], reporting: Reporting) -> int:
    left = run_async(_write(folder, decisions)) if decisions else 0
    if reporting.json:
        settled = [
            {
                "key": decision.key,
                "request_id": decision.request_id,
                "state": "planned" if decision.request_id is None else "submitted",
            }
            for decision in decisions
        ]
        print_json({"folder": str(folder), "settled": settled, "in_doubt": left})
    else:
        for decision in decisions:
            print(_say_settled(decision))
    if not decisions:
        tell("nothing is in doubt, so nothing was changed")
        return Exit.OK
    if left:
        tell(f"{counted(left, 'row stays', 'rows stay')} in doubt; `resolve` lists them")
    submits = any(decision.request_id is None for decision in decisions)
    paying = ". It submits planned rows again, which is paid for" if submits else ""
    tell(f"Next: {next_command(folder)}{paying}")
    return Exit.OK


def _say_settled(decision: Decision) -> str:
    if decision.request_id is None:
        return f"{decision.key}: not billed, so it is planned again"
    return f"{decision.key}: job {decision.request_id} is its job; the next run downloads its video"


async def _write(folder: Path, decisions: list[Decision]) -> int:
    """Check and write decisions, all or none, and return how many doubts are left.

    Raises:
        CommandError: One cannot be true.
    """
    async with await Ledger.open(folder, origin=None) as ledger:
        rows, owners = await look_up(ledger, decisions)
        # A file's data is wrong, or the arguments are.
        from_file = decisions[0].line is not None
        _refuse(problems_of(decisions, rows, owners), Exit.DATA if from_file else Exit.USAGE)
        if any(decision.request_id is not None for decision in decisions):
            await _check_ids(folder, ledger.info.origin, decisions, rows)
        await settle(ledger, decisions)
        counts = await ledger.counts()
    return counts[RowState.IN_DOUBT]


def _refuse(problems: Sequence[Problem], code: Exit) -> None:
    if not problems:
        return
    if len(problems) == 1:
        raise CommandError(f"{problems[0]}. Nothing was changed.", code)
    listed = "\n".join(f"  {problem}" for problem in problems)
    raise CommandError(f"nothing was changed, for {len(problems)} reasons:\n{listed}", code)


async def _check_ids(
    folder: Path, origin: str, decisions: Sequence[Decision], rows: Mapping[str, RowEntry]
) -> None:
    """Let the service show that the ids are jobs which can be the rows'.

    Raises:
        CommandError: They are not, or the ledger's jobs are elsewhere.
        SeedanceError: The service could not be asked.
    """
    if origin == SIMULATOR:
        raise CommandError(
            f"the batch in {folder} ran on a simulator, whose jobs ended with it: say --not-billed "
            f"instead, which costs nothing. Nothing was changed."
        )
    service = find_service()
    check_origin(folder, origin, service)
    async with service.session() as session:
        problems = await ask_service(session, decisions, rows)
    _refuse(problems, Exit.FAILED)
