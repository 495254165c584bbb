"""`doctor`: what is used, and whether the way is open; never a paid call, never the token."""

import json

import pytest

from seedance_async.cli.app import run

from .processes import Simulation, command


def test_all_is_well(simulated: Simulation) -> None:
    """One free GET, no submission, the token unseen."""
    done = command("doctor")
    assert done.code == 0, done.out
    assert "found in RUNCOMFY_TOKEN" in done.out
    assert simulated.base_url in done.out
    assert "simulator-token" not in done.out + done.err
    books = simulated.books()
    assert (books["submissions"], books["polls"]) == (0, 1)


def test_no_token_is_77(capsys: pytest.CaptureFixture[str]) -> None:
    """It says where it looked, and asks nobody."""
    assert run(["doctor", "--json"]) == 77
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert "RUNCOMFY_TOKEN" in report["token"]["says"]
    assert "not asked" in report["service"]["says"]


def test_a_refused_token_is_77(simulated: Simulation) -> None:
    """The service's own words are shown."""
    done = command("doctor", RUNCOMFY_TOKEN="wrong-token")
    assert done.code == 77
    assert "401" in done.out
    assert "wrong-token" not in done.out + done.err
    del simulated


def test_an_unreachable_service_is_69(simulated: Simulation) -> None:
    """The address is named, for it may be mistyped."""
    simulated.books()
    done = command("doctor")
    assert done.code == 69
    assert simulated.base_url in done.out


def test_a_bad_base_url_is_64(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is sent there."""
    monkeypatch.setenv("RUNCOMFY_TOKEN", "t")
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "http://user:pass@example.com")
    assert run(["doctor"]) == 64
    assert "pass@" not in capsys.readouterr().out


def test_a_proxys_password_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proxy is worth knowing, its password is not for a screenshot."""
    monkeypatch.setenv("https_proxy", "http://user:geheim@proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    assert run(["doctor"]) == 77
    text = capsys.readouterr().out
    assert "http://proxy.example:3128" in text
    assert "geheim" not in text
