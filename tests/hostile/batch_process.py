"""The command line as it is, but with short internal times: `python -m` this, then a command."""

from __future__ import annotations

from typing import Any

from seedance_async import Session
from seedance_async.__main__ import main
from seedance_async.http import HttpTransport

from .batch_times import TOGETHER


def _be_quick() -> None:
    make_session, make_transport = Session.__init__, HttpTransport.__init__

    def session(self: Session, *args: Any, **options: Any) -> None:
        make_session(self, *args, **options)
        TOGETHER.shorten(self)

    def transport(self: HttpTransport, *args: Any, **options: Any) -> None:
        make_transport(self, *args, **{**options, "limits": TOGETHER.limits()})

    Session.__init__ = session  # type: ignore[method-assign]
    HttpTransport.__init__ = transport  # type: ignore[method-assign]


if __name__ == "__main__":
    _be_quick()
    main()
