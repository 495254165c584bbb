"""The requests: what one generation is asked for, checked before anything is sent.

The rules are the JSON schemas in `schemas/`, read when a model is first used; a class says only
which model it is, how its fields are called and what is advice. To add a model, add a schema file,
a class with one field per property, and its name in `_CLASSES`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Protocol, cast

import attr
import attrs

from seedance_async.errors import InvalidRequestError, Violation
from seedance_async.rawrequest import RawRequest
from seedance_async.rules import FieldRule, find_violations, is_integer, schema_rules

__all__ = [
    "MODELS",
    "FieldRule",
    "LiteImageToVideo",
    "ProFastTextToVideo",
    "RawRequest",
    "Request",
    "RequestAdvice",
    "Shape",
    "TypedRequest",
    "V15ProImageToVideo",
    "build_request",
    "field_rules",
    "find_model",
    "shape",
]


class RequestAdvice(UserWarning):
    """A request that the schema allows and that will likely disappoint."""


class Request(Protocol):
    """What a session submits: the input of one generation and the model it is for."""

    @property
    def model_id(self) -> str:
        """The full id, its slashes included."""
        ...

    def input(self) -> dict[str, object]:
        """Return the body as it is sent, a fresh copy."""
        ...

    def advice(self) -> tuple[str, ...]:
        """Return what speaks against the request although it is valid."""
        ...


@attrs.frozen(kw_only=True)
class TypedRequest:
    """The base of the requests whose schema is known; not to be used by itself.

    Raises:
        InvalidRequestError: On construction, with all violations of the schema.
    """

    model_id: ClassVar[str]
    short_name: ClassVar[str]

    def __attrs_post_init__(self) -> None:
        rules = field_rules(type(self))
        values = {rule.name: getattr(self, rule.name) for rule in rules}
        if violations := find_violations(rules, values):
            raise InvalidRequestError(violations, model_id=self.model_id)
        for name, value in values.items():
            if isinstance(value, float):  # 5.0, which JSON Schema takes as the integer 5
                object.__setattr__(self, name, int(value))
        for text in self.advice():
            warnings.warn(text, RequestAdvice, stacklevel=_caller_level())

    def input(self) -> dict[str, object]:
        """Return the body as it is sent: defaults included, what is absent left out."""
        return {
            rule.name: value
            for rule in field_rules(type(self))
            if (value := getattr(self, rule.name)) is not None
        }

    def advice(self) -> tuple[str, ...]:
        """Return what speaks against the request although it is valid."""
        texts, images = _telling_fields(self.model_id)
        found = tuple(
            f"{name} is blank, and such a video is paid for like any other"
            for name in texts
            if not getattr(self, name).strip()
        )
        if not images:
            return found
        urls = ((name, getattr(self, name)) for name in images)
        return found + tuple(
            text for name, url in urls if url is not None for text in _on_url(name, url)
        )


def field_rules(model: type[TypedRequest]) -> tuple[FieldRule, ...]:
    """Return the rules of `model`'s fields in the schema's order; its file is read once."""
    return schema_rules(model.model_id)


@cache
def _telling_fields(model_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the required texts and of the images, on which there is advice."""
    rules = schema_rules(model_id)
    texts = (rule.name for rule in rules if rule.required and not rule.is_image)
    return tuple(texts), tuple(rule.name for rule in rules if rule.is_image)


@attrs.frozen(kw_only=True)
class LiteImageToVideo(TypedRequest):
    """Seedance 1.0 Lite: a video that starts at one image, and may end at another.

    Attributes:
        prompt: What happens; 1900 characters at most.
        first_frame_image_url: A public https URL.
        last_frame_image_url: Likewise; without effect at 1080p.
        resolution: 480p, 720p or 1080p.
        duration: Seconds, 5 or 10.
    """

    model_id: ClassVar[str] = "bytedance/seedance-1-0/lite/image-to-video"
    short_name: ClassVar[str] = "lite"

    prompt: str
    first_frame_image_url: str
    last_frame_image_url: str | None = None
    resolution: str = "480p"
    duration: int = 5

    def advice(self) -> tuple[str, ...]:
        """Return what speaks against the request although it is valid."""
        if self.last_frame_image_url is None or self.resolution != "1080p":
            return super().advice()
        return (
            *super().advice(),
            "last_frame_image_url has no effect at 1080p: use 480p or 720p, or leave it out",
        )


@attrs.frozen(kw_only=True)
class V15ProImageToVideo(TypedRequest):
    """Seedance 1.5 Pro: a video with sound that starts at an image.

    Attributes:
        prompt: What happens; best kept to 500 characters.
        first_frame_image_url: A public https URL.
        resolution: 480p, 720p or 1080p.
        ratio: Width to height, such as 16:9, or adaptive.
        duration: Seconds, 4 to 12.
        generate_audio: Whether the video has sound.
        camera_fixed: Whether the camera stays fixed throughout.
    """

    model_id: ClassVar[str] = "bytedance/seedance-v1.5-pro/image-to-video"
    short_name: ClassVar[str] = "v15-pro"

    prompt: str
    first_frame_image_url: str
    resolution: str = "480p"
    ratio: str = "adaptive"
    duration: int = 5
    generate_audio: bool = True
    camera_fixed: bool = True

    def advice(self) -> tuple[str, ...]:
        """Return what speaks against the request although it is valid."""
        if len(self.prompt) <= 500:
            return super().advice()
        return (
            "prompt has more than 500 characters: the service advises to stay below",
            *super().advice(),
        )


@attrs.frozen(kw_only=True)
class ProFastTextToVideo(TypedRequest):
    """Seedance 1.0 Pro Fast: a video from words alone.

    Attributes:
        text: What happens; 500 characters at most.
        resolution: 480p, 720p or 1080p.
        ratio: Width to height, such as 16:9.
        duration: Seconds, 2 to 12.
        seed: The same seed makes similar videos; absent: the service draws one.
    """

    model_id: ClassVar[str] = "bytedance/seedance-1-0/pro/fast/text-to-video"
    short_name: ClassVar[str] = "pro-fast"

    text: str
    resolution: str = "480p"
    ratio: str = "16:9"
    duration: int = 5
    seed: int | None = None


_CLASSES: Final = (LiteImageToVideo, V15ProImageToVideo, ProFastTextToVideo)

MODELS: Final[Mapping[str, type[TypedRequest]]] = MappingProxyType(
    {name: model for model in _CLASSES for name in (model.model_id, model.short_name)}
)
"""Each known model under its full id and its short name; `dict.fromkeys(MODELS.values())` lists
each once."""


def _on_url(field: str, url: str) -> Iterable[str]:
    """Yield advice on an image's URL (wire.md, section 6)."""
    start = url[:8].lower()
    if start.startswith("data:"):
        yield f"{field} is a data: URI, which the service does not document: a URL is sure"
    elif start != "https://":
        yield f"{field} is no https URL: the service fetches the image itself, from a public one"


_INNER_FILES: Final = (__file__, "<attrs generated", str(Path(attr.__file__).parent))


def _caller_level() -> int:
    """Return the `stacklevel` for `warnings.warn` of the code that makes the request."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and frame.f_code.co_filename.startswith(_INNER_FILES):
        frame = frame.f_back
        level += 1
    return level


# --- by name -------------------------------------------------------------------------------


def find_model(name: str) -> type[TypedRequest] | None:
    """Return the class of a full id or a short name, or None."""
    return MODELS.get(name)


def build_request(model: str, fields: Mapping[str, object]) -> Request:
    """Make the request of `model`, a full id or a short name, from fields by name.

    None is absence. `prompt` and `text` are taken for each other. A full id that is not known
    gives a `RawRequest`.

    Raises:
        InvalidRequestError: With all violations, unknown and missing fields included.
    """
    found = find_model(model)
    if found is None:
        _check_not_misspelt(model)
        return RawRequest(model, fields)
    given, violations = _sort_fields(found, fields)
    rules = field_rules(found)
    if violations or any(rule.required and rule.name not in given for rule in rules):
        values = {rule.name: given.get(rule.name, rule.default) for rule in rules}
        violations = [*find_violations(rules, values), *violations]
        raise InvalidRequestError(violations, model_id=found.model_id)
    return cast("Callable[..., TypedRequest]", found)(**given)


def _check_not_misspelt(model: str) -> None:
    """Refuse a name that is no short name and, without a slash, no model id either."""
    if "/" in model:
        return
    short_names = ", ".join(cls.short_name for cls in _CLASSES)
    rule = f"must be a short name ({short_names}) or a full id such as {_CLASSES[0].model_id}"
    raise InvalidRequestError([Violation("model", model, rule)], model_id=model)


_SYNONYMS: Final = {"prompt": "text", "text": "prompt"}


def _sort_fields(
    model: type[TypedRequest], fields: Mapping[str, object]
) -> tuple[dict[str, object], list[Violation]]:
    """Return the fields that `model` knows, under its names, and violations for the others."""
    names = [rule.name for rule in field_rules(model)]
    given = {name: value for name, value in fields.items() if value is not None}
    violations = []
    for name in [name for name in given if name not in names]:
        value = given.pop(name)
        synonym = _SYNONYMS.get(name)
        if synonym not in names:
            violations.append(Violation(str(name), value, _unknown_field(str(name), names)))
        elif synonym in given:
            violations.append(
                Violation(name, value, f"means {synonym}, which is given too: keep one")
            )
        else:
            given[synonym] = value
    return given, violations


def _unknown_field(name: str, names: Sequence[str]) -> str:
    import difflib  # 5 ms, spared until a field is misspelt

    close = difflib.get_close_matches(name, names, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names)}"
    return f"is no field of this model: {hint}"


@attrs.frozen(cache_hash=True)
class Shape:
    """What prices and durations depend on; None: the input does not say.

    Attributes:
        model_id: The model.
        resolution: Such as 480p.
        duration: Seconds.
        audio: Whether sound is generated.
    """

    model_id: str
    resolution: str | None = None
    duration: int | None = None
    audio: bool | None = None


_shape = lru_cache(maxsize=1024)(Shape)  # one for all jobs of a kind


def shape(request: Request, given: Mapping[str, object] | None = None) -> Shape:
    """Return the shape of `request`; values of unexpected types count as absent.

    Args:
        request: What is asked for.
        given: Its input, if it is at hand.
    """
    given = request.input() if given is None else given
    resolution, duration = given.get("resolution"), given.get("duration")
    audio = given.get("generate_audio")
    if not isinstance(duration, int | float) or not is_integer(duration):
        duration = None
    return _shape(
        request.model_id,
        resolution if isinstance(resolution, str) else None,
        None if duration is None else int(duration),
        audio if isinstance(audio, bool) else None,
    )
