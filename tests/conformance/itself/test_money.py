"""What an examination may cost, and what is asked of the command line before it begins."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from seedance_async.simulator import FaultPlan
from tests.conformance.double import Double
from tests.conformance.itself.deviating import changing, edited, examined
from tests.conformance.lives import FOLLOWED, WITHDRAWN
from tests.conformance.purse import Purse, estimate
from tests.conformance.settings import CHEAPEST, INPUTS, read_settings

SECOND = {"base_price_usd": 0.05, "price_unit": "second"}
OUTPUT = {"base_price_usd": 0.3, "price_unit": "output"}


def ours(double: Double) -> list[str]:
    """Return the ids that the double gave to anybody but its strangers."""
    return [entry.request_id for entry in double.books.accepted if "stranger" not in entry.body]


@pytest.mark.parametrize(("budget", "paid"), [("0", 0), ("0.09", 0), ("0.19", 1), ("0.20", 2)])
def test_generations_are_paid_while_they_fit_the_budget(budget: str, paid: int) -> None:
    """By the double's books; the others are listed with what they would cost."""
    double = Double()
    report = examined(double, budget)
    assert len(ours(double)) == len(report.paid) == paid
    assert len(report.not_paid) == 2 - paid
    assert all("lets it run" in words for words in report.not_paid)
    assert report.differences == []


def test_a_submission_in_doubt_is_told_at_once_and_never_repeated() -> None:
    """Each generation is submitted once, whatever the answer; its estimate stays taken."""
    double, told = Double(faults=FaultPlan({"drop-after-accept": 1.0})), list[str]()
    report = examined(double, "0.2", told.append)
    assert len(ours(double)) == 2
    assert [line.partition(" (")[0] for line in told] == ["in doubt, it may run and be billed"] * 2
    assert len(report.doubts) == 2


def test_what_one_really_cost_counts_for_the_next() -> None:
    """A first that costs three times its estimate leaves nothing for a second."""

    def dearer(document: dict[str, Any]) -> None:
        document["cost"] = 0.3

    double = changing(edited("include_cost=true", dearer, status=200))
    report = examined(double, "0.3")
    assert [paid.why for paid in report.paid] == [FOLLOWED]
    (words,) = report.not_paid
    assert words.startswith(f"a job {WITHDRAWN}: would cost about $0.3; --budget 0.6")


def test_without_a_price_nothing_is_paid() -> None:
    """And the difference in the catalog is found all the same."""

    def no_price(document: dict[str, Any]) -> None:
        document.pop("base_price_usd", None)

    double = changing(edited("/v1/models/", no_price, method="GET", status=200))
    report = examined(double)
    assert ours(double) == []
    assert all("give --price USD_PER_SECOND" in words for words in report.not_paid)
    assert [one.where for one in report.differences] == [
        f"catalog entry of {CHEAPEST}, base_price_usd"
    ]


def test_one_purpose_is_never_paid_for_twice() -> None:
    """Not even where a plugin runs a failed test again."""
    purse = Purse(Decimal(10), Decimal("0.1"))
    assert purse.admit(FOLLOWED) == ""
    with pytest.raises(RuntimeError, match="admitted before"):
        purse.admit(FOLLOWED)
    assert purse.committed == Decimal("0.1")


@pytest.mark.parametrize(
    ("entry", "body", "price", "expected"),
    [
        (SECOND, {"duration": 2}, None, "0.10"),
        (SECOND, {"duration": 2}, "0.2", "0.4"),
        (SECOND, {"duration": 2}, "0.01", "0.10"),
        (SECOND, {}, "0.2", None),
        (OUTPUT, {}, None, "0.3"),
        ({"base_price_usd": 0, "price_unit": "second"}, {"duration": 2}, None, None),
        ({"base_price_usd": 1, "price_unit": "moon"}, {"duration": 2}, None, None),
        ({}, {"duration": 2}, "0.2", "0.4"),
        ({"base_price_usd": True, "price_unit": "output"}, {"duration": True}, "1", None),
    ],
)
def test_the_dearer_of_what_is_known_is_the_estimate(
    entry: dict[str, Any], body: dict[str, Any], price: str | None, expected: str | None
) -> None:
    """By the catalog and by --price; what is not known is not guessed."""
    seen = estimate(entry, body, None if price is None else Decimal(price))
    assert seen == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_url": "http://example.com"}, "plain http on this machine only"),
        ({"base_url": "ftp://127.0.0.1"}, "https"),
        ({"budget": "much"}, "--budget much: not an amount"),
        ({"budget": "-1"}, "--budget -1: not an amount"),
        ({"price": "inf"}, "--price inf: not an amount"),
        ({"model": "somebody/elses"}, "give one with --input JSON"),
        ({"input": "{"}, "--input is not JSON"),
        ({"input": "[]"}, "must be a JSON object"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(
    options: dict[str, str], words: str
) -> None:
    """Before any check."""
    with pytest.raises(ValueError, match=words.replace("[", "\\[")):
        read_settings(options.get, {"RUNCOMFY_TOKEN": "t"})


def test_a_live_service_is_examined_for_nothing_unless_a_budget_is_given() -> None:
    """Slowly, with the token of the environment, which no repr shows."""
    settings = read_settings({"base_url": "https://example.com/"}.get, {"RUNCOMFY_TOKEN": "t0ken"})
    assert (settings.budget, settings.price, settings.model) == (Decimal(0), None, CHEAPEST)
    assert settings.base_url == "https://example.com"
    assert settings.body == INPUTS[CHEAPEST]
    assert settings.pace.seconds >= 2
    assert "t0ken" not in repr(settings)
    with pytest.raises(ValueError, match="set RUNCOMFY_TOKEN"):
        read_settings({"base_url": "https://example.com"}.get, {})
