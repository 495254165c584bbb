"""A disk that fails: chosen writes below one folder are refused, as a kernel would refuse them.

SQLite is met where it calls the system, by its own table of system calls, so that it maps the
error, rolls back and retries as it does on a real disk; Python where it calls `os` and opens files.
Nothing is refused outside of the folder, and reading always works.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["ERRORS", "Disk", "Failure", "errors_of", "reaches_sqlite"]

ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def errors_of(what: str) -> tuple[int, ...]:
    """Return the errors by which a kernel may refuse a write, given its name in `Disk.writes`."""
    kind = what.split()[0]
    if kind in ("unlink", "reopen"):  # a full disk gives way to both
        return tuple(error for error in ERRORS if error not in _FULL)
    if kind == "sync":  # a disk that only reads has nothing to sync
        return tuple(error for error in ERRORS if error != errno.EROFS)
    return ERRORS


@attrs.frozen
class Failure:
    """Which writes are refused.

    Attributes:
        at: The first, counted from 1.
        error: The `errno`.
        for_good: Whether all later ones are too, until the disk is healed.
        torn: Whether half of the bytes of a refused write are on the disk all the same.
    """

    at: int
    error: int
    for_good: bool = False
    torn: bool = False

    def __str__(self) -> str:
        how = f"{errno.errorcode[self.error]}{' for good' if self.for_good else ''}"
        return f"{how}{' torn' if self.torn else ''} at write {self.at}"


class Disk:
    """Counts the writes below a folder while it is `attached`, and refuses those it is told to.

    Attributes:
        writes: What was written or tried, in order: a kind and the file's name.
        refused: Those of them that failed.
    """

    def __init__(self, folder: Path) -> None:
        self.writes: list[str] = []
        self.refused: list[str] = []
        self._folder = str(folder.resolve())
        self._failure: Failure | None = None
        self._lock = threading.Lock()

    def fail(self, failure: Failure) -> None:
        """Refuse writes from now on; `at` counts from the first that the disk saw."""
        self._failure = failure

    def break_down(self, error: int, *, torn: bool = False) -> None:
        """Refuse every further write."""
        self.fail(Failure(len(self.writes) + 1, error, for_good=True, torn=torn))

    def heal(self) -> None:
        """Refuse nothing more."""
        self._failure = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Stand between the program and the disk inside the block."""
        with _PythonCalls(self).installed(), _SqliteCalls(self, _vfs()).installed():
            yield

    def holds(self, path: Any) -> bool:
        """Tell whether a path is the folder or below it."""
        text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  it may be bytes
        return text == self._folder or text.startswith(self._folder + os.sep)

    def verdict(self, kind: str, path: Any) -> Failure | None:
        """Count a write; return how it fails, or None if it does not."""
        name = Path(os.fsdecode(path)).name.replace(str(os.getpid()), "PID")
        with self._lock:  # the ledger's thread and others come here together
            what = f"{kind} {name}"
            self.writes.append(what)
            failure = self._failure
            if failure is None or len(self.writes) < failure.at:
                return None
            if not failure.for_good and len(self.writes) > failure.at:
                return None
            if failure.error not in errors_of(what):
                return None
            self.refused.append(what)
            return failure

    def check(self, kind: str, path: Any) -> None:
        """Count a write.

        Raises:
            OSError: It fails.
        """
        if (failure := self.verdict(kind, path)) is not None:
            raise OSError(failure.error, os.strerror(failure.error), os.fsdecode(path))


# --- Python's calls ---------------------------------------------------------------------------


class _File(io.FileIO):
    """A file whose writes the disk judges."""

    disk: Disk

    def write(self, data: Any) -> int:
        failure = self.disk.verdict("write", self.name)
        if failure is None:
            return super().write(data)
        if failure.torn:
            super().write(bytes(data)[: len(data) // 2])
        raise OSError(failure.error, os.strerror(failure.error), str(self.name))


def _opening(path: Any) -> str:
    return "reopen" if os.path.lexists(path) else "create"


class _PythonCalls:
    """The stand-ins for the functions by which Python changes files."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._names: dict[int, str] = {}
        self._io_open, self._os_open = io.open, os.open
        self._stand_ins: dict[tuple[Any, str], Callable[..., Any]] = {
            (io, "open"): self._open_file,
            (os, "open"): self._open,
            (os, "mkdir"): self._of_path("mkdir", os.mkdir),
            (os, "unlink"): self._of_path("unlink", os.unlink),
            (os, "replace"): self._of_path("rename", os.replace),
            (os, "write"): self._of_descriptor("write", os.write),
            (os, "ftruncate"): self._of_descriptor("truncate", os.ftruncate),
            (os, "fsync"): self._of_descriptor("sync", os.fsync),
        }

    @contextmanager
    def installed(self) -> Iterator[None]:
        real = {place: getattr(*place) for place in self._stand_ins}
        try:
            for (module, name), stand_in in self._stand_ins.items():
                setattr(module, name, stand_in)
            yield
        finally:
            for (module, name), function in real.items():
                setattr(module, name, function)

    def _open_file(self, file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        ours = isinstance(file, str | os.PathLike) and self._disk.holds(file)
        if not ours or not set("wax+") & set(mode):
            return self._io_open(file, mode, *more, **named)
        assert "b" in mode, f"{file} is opened as text, which this disk does not know"
        self._disk.check(_opening(file), file)
        raw = type("File", (_File,), {"disk": self._disk})(os.fspath(file), mode)
        self._names[raw.fileno()] = os.fspath(file)
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    def _open(self, path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & _WRITES and self._disk.holds(path):
            self._disk.check(_opening(path), path)
        descriptor = self._os_open(path, flags, *more, **named)
        self._names[descriptor] = os.fsdecode(path)
        return descriptor

    def _of_path(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, *more: Any, **named: Any) -> Any:
            there_already = kind == "mkdir" and os.path.lexists(path)
            if self._disk.holds(path) and not there_already:
                self._disk.check(kind, more[0] if kind == "rename" else path)
            return real(path, *more, **named)

        return called

    def _of_descriptor(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(descriptor: int, *more: Any) -> Any:
            name = self._names.get(descriptor, "")
            if name and self._disk.holds(name):
                self._disk.check(kind, name)
            return real(descriptor, *more)

        return called


# --- SQLite's calls ---------------------------------------------------------------------------

_OK: Final = 0
_IOERR_FSYNC: Final = 1034
_POINTER: Final = ctypes.c_void_p


def _call_type(result: Any, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(result, *arguments, use_errno=True)


_OPEN = _call_type(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)
_WRITE_AT = _call_type(ctypes.c_ssize_t, ctypes.c_int, _POINTER, ctypes.c_size_t, ctypes.c_longlong)
_TRUNCATE = _call_type(ctypes.c_int, ctypes.c_int, ctypes.c_longlong)
_UNLINK = _call_type(ctypes.c_int, ctypes.c_char_p)
_SYNC = _call_type(ctypes.c_int, _POINTER, ctypes.c_int)
_OPEN_FILE = _call_type(ctypes.c_int, _POINTER, _POINTER, _POINTER, ctypes.c_int, _POINTER)


class _Vfs(ctypes.Structure):
    """`struct sqlite3_vfs`, as far as it is used."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", _POINTER),
        ("name", ctypes.c_char_p),
        ("data", _POINTER),
        ("open", _POINTER),
        ("others", _POINTER * 12),
        ("set_call", ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_char_p, _POINTER)),
        ("get_call", ctypes.CFUNCTYPE(_POINTER, _POINTER, ctypes.c_char_p)),
    )


_METHODS: Final = _POINTER * 19
"""`struct sqlite3_io_methods`: a version, then 18 functions; the fifth syncs."""
_SYNC_METHOD: Final = 5

_kept: list[Any] = []
"""What an open database may still call: never let go."""


def _vfs() -> Any:
    """Return the file system of the SQLite that Python uses; None if it cannot be reached."""
    try:
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    except (AttributeError, OSError):
        return None
    find.restype = ctypes.POINTER(_Vfs)
    vfs = find(None)
    return vfs if vfs and vfs.contents.version >= 3 and vfs.contents.name == b"unix" else None


def reaches_sqlite() -> bool:
    """Tell whether the system calls of SQLite can be met here."""
    return os.name == "posix" and hasattr(_sqlite3, "__file__") and _vfs() is not None


class _SqliteCalls:
    """The stand-ins; they return -1 and leave the error in `errno`, as the system does."""

    def __init__(self, disk: Disk, vfs: Any) -> None:
        self._disk = disk
        self._vfs = vfs
        self._names: dict[int, str] = {}
        self._files: dict[int, str] = {}
        self._installed: list[bytes] = []
        self._real_open_file = vfs.contents.open

    @contextmanager
    def installed(self) -> Iterator[None]:
        try:
            self._replace(b"open", _OPEN, self._open)
            self._replace(b"write", _WRITE_AT, self._write)
            self._replace(b"pwrite", _WRITE_AT, self._write)
            self._replace(b"pwrite64", _WRITE_AT, self._write)
            self._replace(b"ftruncate", _TRUNCATE, self._truncate)
            self._replace(b"unlink", _UNLINK, self._unlink)
            opening = _OPEN_FILE(self._open_file)
            _kept.append(opening)
            self._vfs.contents.open = ctypes.cast(opening, _POINTER)
            yield
        finally:
            self._vfs.contents.open = self._real_open_file
            for name in self._installed:
                self._vfs.contents.set_call(self._vfs, name, None)

    def _replace(self, name: bytes, form: Any, stand_in: Callable[..., int]) -> None:
        vfs = self._vfs.contents
        address = vfs.get_call(self._vfs, name)
        if not address:
            return  # this build does not use it
        real = form(address)
        called = form(lambda *arguments: stand_in(real, *arguments))
        _kept.append(called)
        assert vfs.set_call(self._vfs, name, ctypes.cast(called, _POINTER)) == _OK
        self._installed.append(name)

    def _refuses(self, kind: str, name: str | None) -> Failure | None:
        if name is None or not self._disk.holds(name):
            return None
        failure = self._disk.verdict(kind, name)
        if failure is not None:
            ctypes.set_errno(failure.error)
        return failure

    def _open(self, real: Any, path: bytes, flags: int, mode: int) -> int:
        name = os.fsdecode(path)
        if flags & _WRITES and self._refuses(_opening(name), name):
            return -1
        descriptor: int = real(path, flags, mode)
        self._names[descriptor] = name
        return descriptor

    def _write(self, real: Any, descriptor: int, data: int, size: int, offset: int) -> int:
        failure = self._refuses("write", self._names.get(descriptor))
        if failure is None:
            return int(real(descriptor, data, size, offset))
        if failure.torn:
            real(descriptor, data, size // 2, offset)
            ctypes.set_errno(failure.error)
        return -1

    def _truncate(self, real: Any, descriptor: int, size: int) -> int:
        refused = self._refuses("truncate", self._names.get(descriptor))
        return -1 if refused else int(real(descriptor, size))

    def _unlink(self, real: Any, path: bytes) -> int:
        return -1 if self._refuses("unlink", os.fsdecode(path)) else int(real(path))

    def _open_file(self, vfs: int, path: int, file: int, flags: int, out: int) -> int:
        """Open a file, and put a sync of ours into its methods: there is no such system call."""
        code = int(_OPEN_FILE(self._real_open_file)(vfs, path, file, flags, out))
        place = ctypes.cast(file, ctypes.POINTER(_POINTER))
        if code != _OK or not path or not place[0]:
            return code
        self._files[file] = os.fsdecode(ctypes.string_at(path))
        methods = _METHODS.from_buffer_copy(ctypes.string_at(place[0], ctypes.sizeof(_METHODS)))
        real = _SYNC(methods[_SYNC_METHOD])
        syncing = _SYNC(lambda *arguments: self._sync(real, *arguments))
        methods[_SYNC_METHOD] = ctypes.cast(syncing, _POINTER)
        _kept.extend((syncing, methods))
        place[0] = ctypes.addressof(methods)
        return code

    def _sync(self, real: Any, file: int, flags: int) -> int:
        return _IOERR_FSYNC if self._refuses("sync", self._files.get(file)) else real(file, flags)
