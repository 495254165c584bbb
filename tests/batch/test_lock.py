"""The lock: one runner a folder, told by name, and none left by the dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seedance_async import LedgerError
from seedance_async.batch.lock import FolderLock

HOLD = """
import sys
from pathlib import Path
from seedance_async.batch.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), now=0)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    """Process, host and since when, also within one process; after the release it is free."""
    path = tmp_path / "ledger.lock"
    lock = FolderLock(path, now=1_767_225_600.0)
    with pytest.raises(LedgerError) as no:
        FolderLock(path, now=0)
    told = str(no.value)
    assert f"the folder {tmp_path} is in use by process {os.getpid()} on " in told
    assert " since 2026-01-01T00:00:00+00:00. Wait until it ends or interrupt it" in told
    lock.release()
    lock.release()
    FolderLock(path, now=0).release()


def test_a_dead_process_leaves_no_lock(tmp_path: Path) -> None:
    """Another process holds it until `kill -9`; its name in the file means nothing then."""
    path = tmp_path / "ledger.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LedgerError, match=f"by process {child.pid} on .* since 1970"):
            FolderLock(path, now=0)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert json.loads(path.read_text())["pid"] == child.pid
    FolderLock(path, now=0).release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "\x00\xff"])
def test_a_holder_without_a_name_is_another_process(text: str, tmp_path: Path) -> None:
    """Whatever the file says, the lock is what counts."""
    path = tmp_path / "ledger.lock"
    lock = FolderLock(path, now=0)
    path.write_text(text)
    with pytest.raises(LedgerError, match="in use by another process"):
        FolderLock(path, now=0)
    lock.release()


def test_a_folder_that_cannot_hold_a_lock_is_named(tmp_path: Path) -> None:
    """With the reason and the way out."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match=r"cannot lock .*file/ledger.lock: .*Mend the rights"):
        FolderLock(tmp_path / "file" / "ledger.lock", now=0)
