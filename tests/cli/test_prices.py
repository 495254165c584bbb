"""Prices: flags first, then the catalog; what cannot be is refused by the flag's name."""

from __future__ import annotations

import pytest

from seedance_async.catalog import CatalogModel, PriceUnit
from seedance_async.cli.exits import CommandError
from seedance_async.cli.prices import Bounds
from seedance_async.models import LiteImageToVideo, ProFastTextToVideo, Shape

FAST = ProFastTextToVideo.model_id
LITE = LiteImageToVideo.model_id
BOTH = (FAST, LITE)


def listed(price: int | None, unit: PriceUnit | None = "second") -> dict[str, CatalogModel]:
    return {
        name: CatalogModel(model_id=name, display_name=name, base_price=price, price_unit=unit)
        for name in BOTH
    }


def estimates(
    bounds: Bounds, catalog: dict[str, CatalogModel] | None = None
) -> tuple[int | None, int | None]:
    """Return the estimates, in micro-dollars, of ten seconds of each model."""
    budget = bounds.check().budget(None, BOTH, catalog or {})
    fast, lite = (budget.estimate(Shape(name, "480p", 10)) for name in BOTH)
    return fast, lite


@pytest.mark.parametrize(
    ("bounds", "catalog", "expected"),
    [
        (Bounds(), None, (None, None)),
        (Bounds(), listed(30_000), (300_000, 300_000)),
        (Bounds(), listed(30_000, "output"), (30_000, 30_000)),
        (Bounds(), listed(30_000, None), (None, None)),
        (Bounds(), listed(None), (None, None)),
        (Bounds(price=["0.05"]), listed(30_000), (500_000, 500_000)),
        (Bounds(price=["lite=0.05"]), None, (None, 500_000)),
        (Bounds(price=[f"{LITE}=0.05"]), listed(30_000), (300_000, 500_000)),
        (Bounds(price=["0.05", "lite=0.02"]), None, (500_000, 200_000)),
        (Bounds(price_per_video=["0.4"]), listed(30_000), (400_000, 400_000)),
        (Bounds(price=["0.05"], price_per_video=["lite=0.4"]), None, (500_000, 400_000)),
        (Bounds(price=["0.05"], price_per_video=["0.4"]), None, (500_000, 500_000)),
    ],
)
def test_the_price_that_counts(
    bounds: Bounds,
    catalog: dict[str, CatalogModel] | None,
    expected: tuple[int | None, int | None],
) -> None:
    """A model's own flag, then the flag for all, then the catalog; none of them is made up."""
    assert estimates(bounds, catalog) == expected


def test_only_models_without_a_flag_are_asked_for() -> None:
    """The catalog costs a request each."""
    assert Bounds(price=["lite=0.05"]).check().unknown(BOTH) == [FAST]
    assert Bounds(price_per_video=["0.05"]).check().unknown(BOTH) == []
    assert Bounds().check().unknown(BOTH) == sorted(BOTH)


def test_a_model_of_another_version_may_have_a_price() -> None:
    """A full id needs no class."""
    prices = Bounds(price=["bytedance/seedance-9/pro=1"]).check()
    assert prices.per_second == {"bytedance/seedance-9/pro": 1.0}


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        (Bounds(price=["x"]), "--price x: must be an amount"),
        (Bounds(price=[""]), "--price"),
        (Bounds(price=["lite="]), "--price lite=: must be an amount"),
        (Bounds(price=["-1"]), "--price must be a number above 0"),
        (Bounds(price=["lite=nan"]), "--price lite=nan"),
        (Bounds(price=["lite=inf"]), "--price lite=inf"),
        (Bounds(price=["lyte=1"]), "'lyte' is no model"),
        (Bounds(price=["=1"]), "'' is no model"),
        (Bounds(price=["a/../b=1"]), "is no model"),
        (Bounds(price=["lite=1", f"{LITE}=2"]), "another price is given"),
        (Bounds(price_per_video=["lyte=1"]), "--price-per-video lyte=1"),
        (Bounds(budget=float("nan")), "--budget"),
        (Bounds(budget=-1.0), "--budget"),
        (Bounds(max_videos=0), "--max-videos"),
    ],
)
def test_what_cannot_be_is_refused(bounds: Bounds, says: str) -> None:
    """Each error names its flag and what was given."""
    with pytest.raises(CommandError) as caught:
        bounds.check()
    assert says in str(caught.value)
    assert caught.value.code == 64
