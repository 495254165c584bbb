"""What a batch may spend: its bounds, and the prices that its estimates rest on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Group, Parameter

from seedance_async.budget import Budget, to_usd
from seedance_async.cli.exits import CommandError
from seedance_async.cli.reporting import check_positive
from seedance_async.errors import (
    AuthenticationError,
    InvalidRequestError,
    SeedanceError,
    TransportError,
)
from seedance_async.models import find_model
from seedance_async.rawrequest import check_model_id

if TYPE_CHECKING:
    from seedance_async.catalog import CatalogModel
    from seedance_async.session import Session

__all__ = ["UNBOUNDED", "Bounds", "Prices", "ask_catalog", "without_price"]

_GROUP = Group("Money")
_ANY = None
"""The model of a price that holds for all models without one of their own."""


@attrs.frozen
class Prices:
    """Prices as flags gave them: USD by full model id; None stands for all other models."""

    per_second: Mapping[str | None, float] = attrs.field(factory=dict)
    per_video: Mapping[str | None, float] = attrs.field(factory=dict)

    def unknown(self, model_ids: Collection[str]) -> list[str]:
        """Return the models that no price is given for, sorted."""
        given = {*self.per_second, *self.per_video}
        return [] if _ANY in given else sorted(set(model_ids) - given)

    def budget(
        self,
        usd: float | None,
        model_ids: Collection[str],
        catalog: Mapping[str, CatalogModel],
    ) -> Budget:
        """Return the budget for these models.

        A price for the model itself counts first, then one for all models, then the catalog's.
        """
        per_second: dict[str, float] = {}
        per_video: dict[str, float] = {}
        for model_id in model_ids:
            own = model_id if {model_id} & {*self.per_second, *self.per_video} else _ANY
            second, video = self.per_second.get(own), self.per_video.get(own)
            listed = catalog.get(model_id)
            if second is None and video is None and listed is not None:
                second, video = _listed(listed)
            if second is not None:
                per_second[model_id] = second
            if video is not None:
                per_video[model_id] = video
        return Budget(usd, price_per_second=per_second, price_per_video=per_video)


def _listed(model: CatalogModel) -> tuple[float | None, float | None]:
    """Return the catalog's price for a second and for a video."""
    if model.base_price is None:
        return None, None
    price = to_usd(model.base_price)
    return (
        price if model.price_unit == "second" else None,
        price if model.price_unit == "output" else None,
    )


@attrs.frozen(kw_only=True)
class Bounds:
    """What may be spent, as flags."""

    budget: Annotated[
        float | None,
        Parameter(
            group=_GROUP,
            metavar="USD",
            help="What all runs of this folder may spend together; needs prices.",
        ),
    ] = None
    price: Annotated[
        list[str] | None,
        Parameter(
            group=_GROUP,
            negative="",
            metavar="[MODEL=]USD",
            help="USD for a second of video, instead of the catalog's price; repeatable.",
        ),
    ] = None
    price_per_video: Annotated[
        list[str] | None,
        Parameter(
            group=_GROUP,
            negative="",
            metavar="[MODEL=]USD",
            help="USD for a video, where no price for a second is known; repeatable.",
        ),
    ] = None
    max_videos: Annotated[
        int | None,
        Parameter(
            group=_GROUP,
            metavar="N",
            help="Paid attempts of all runs of this folder together.",
        ),
    ] = None

    def check(self) -> Prices:
        """Return the prices, or refuse what cannot be.

        Raises:
            CommandError: It names the flag.
        """
        if self.budget is not None:
            check_positive("--budget", self.budget)
        if self.max_videos is not None:
            check_positive("--max-videos", self.max_videos)
        return Prices(
            _read("--price", self.price or ()),
            _read("--price-per-video", self.price_per_video or ()),
        )


UNBOUNDED = Bounds()
"""The default of every batch."""


def _read(flag: str, given: Sequence[str]) -> dict[str | None, float]:
    prices: dict[str | None, float] = {}
    for text in given:
        name, _, amount = text.rpartition("=")
        try:
            usd = float(amount)
        except ValueError:
            raise CommandError(
                f"{flag} {text}: must be an amount of USD, or MODEL=USD such as lite=0.05"
            ) from None
        check_positive(f"{flag} {text}:" if name else flag, usd)
        model_id = _ANY if "=" not in text else _model_id(flag, text, name)
        if prices.setdefault(model_id, usd) != usd:
            raise CommandError(f"{flag} {text}: another price is given for the same model")
    return prices


def _model_id(flag: str, text: str, name: str) -> str:
    known = find_model(name)
    if known is not None:
        return known.model_id
    if "/" in name:
        with suppress(InvalidRequestError):
            check_model_id(name)
            return name
    raise CommandError(
        f"{flag} {text}: {name!r} is no model: give a short name (`models` lists them) or a full id"
    )


def without_price(model_ids: Sequence[str]) -> CommandError:
    """Return the error for a budget that cannot be held, because models have no price."""
    names = [_short(model_id) for model_id in model_ids]
    return CommandError(
        f"--budget needs a price for each model, and none is known for {', '.join(names)}: give "
        f"--price {names[0]}=USD_PER_SECOND or --price-per-video {names[0]}=USD, or bound the run "
        f"with --max-videos instead. Nothing was submitted."
    )


def _short(model_id: str) -> str:
    known = find_model(model_id)
    return known.short_name if known else model_id


async def ask_catalog(
    session: Session, model_ids: Collection[str]
) -> tuple[dict[str, CatalogModel], list[str]]:
    """Ask the catalog for these models; return what it tells, and what went wrong.

    Raises:
        TransportError: There is no answer, so nothing else should be asked either.
        AuthenticationError: The token is not taken.
    """

    async def ask(model_id: str) -> CatalogModel | SeedanceError:
        try:
            return await _ask_patiently(session, model_id)
        except (AuthenticationError, TransportError):
            raise
        except SeedanceError as error:
            return error

    answers = await asyncio.gather(*(ask(model_id) for model_id in model_ids))
    found: dict[str, CatalogModel] = {}
    trouble: list[str] = []
    for model_id, answer in zip(model_ids, answers, strict=True):
        if isinstance(answer, SeedanceError):
            trouble.append(f"the catalog tells no price of {model_id}: {answer}")
        else:
            found[model_id] = answer
    return found, trouble


async def _ask_patiently(session: Session, model_id: str) -> CatalogModel:
    """Ask once more, and again, where a connection broke."""
    for pause in (0.5, 1.5):
        try:
            return await session.catalog_model(model_id)
        except TransportError:
            await asyncio.sleep(pause)
    return await session.catalog_model(model_id)
