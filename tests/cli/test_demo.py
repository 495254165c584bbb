"""`demo`: the first command of the README."""

from pathlib import Path

from .processes import command


def test_the_demo_makes_eight_playable_files() -> None:
    """No token, three models, a line for each change, a summary; and again over its own files."""
    done = command("demo")
    assert done.code == 0, done.err
    files = done.out.split()
    assert len(files) == 8
    assert all(Path(file).read_bytes()[4:8] == b"ftyp" for file in files)
    assert {name for name in ("lite", "v15-pro", "pro-fast") if name in done.err} == {
        "lite",
        "v15-pro",
        "pro-fast",
    }
    for number in range(1, 9):
        lines = [line for line in done.err.splitlines() if f"s  {number}  " in line]
        told = " ".join(lines)
        assert all(word in told for word in ("submitting", "in the queue", "succeeded")), told
    assert "8 of 8 videos" in done.err
    assert "paid twice: nothing" in done.err

    again = command("demo", "--json")
    report = again.json
    assert (again.code, report["succeeded"], report["simulated"]) == (0, 8, True)
    assert report["seconds"] < 15
    assert len(list(Path("demo").iterdir())) == 8


def test_a_folder_that_cannot_be_made_is_73() -> None:
    """Before anything is simulated."""
    Path("demo").write_text("a file")
    done = command("demo")
    assert done.code == 73
    assert "demo" in done.err
