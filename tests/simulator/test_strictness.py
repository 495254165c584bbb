"""Strict where the client is tolerant: token, content type, body, fields, images."""

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from seedance_async.simulator import Simulator
from seedance_async.simulator.images import ImageFacts, Probe, Unusable

from .asking import FAST, FOX, HEADERS, LITE, PRO, Asking, code, read

FRAME = "https://example.com/fox.png"


@pytest.fixture
def asking() -> Asking:
    return Asking(Simulator())


def png(width: int, height: int) -> bytes:
    """Make a real, black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" * (1 + (width + 7) // 8)) * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "simulator-token", "Basic x"]
)
def test_a_wrong_or_missing_token_is_401001(asking: Asking, authorization: str | None) -> None:
    """Every API endpoint wants the bearer token."""
    headers = {} if authorization is None else {"authorization": authorization}
    for target in ("/v1/models", "/v1/requests/x/result"):
        assert code(asking.send("GET", target, headers=headers)) == (401, 401001)
    assert not asking.simulator.books.accepted


def test_any_token_passes_where_none_is_set() -> None:
    """`token=None` accepts whatever is not empty."""
    asking = Asking(Simulator(token=None))
    good = {"AUTHORIZATION": "bearer whatever"}
    assert asking.send("GET", "/v1/models", headers=good).status == 200
    empty = {"Authorization": "Bearer "}
    assert asking.send("GET", "/v1/models", headers=empty).status == 401


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", json.dumps(FOX).encode()),
        ("", json.dumps(FOX).encode()),
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("application/json", b"[1]"),
        ("application/json", b'{"text": "a", "seed": NaN}'),
        ("application/json", b"[" * 100_000),
    ],
)
def test_a_body_must_be_a_json_object_sent_as_json(asking: Asking, kind: str, body: bytes) -> None:
    """Anything else is a 422 and nothing is accepted."""
    headers = {**HEADERS, "Content-Type": kind}
    reply = asking.send("POST", f"/v1/models/{FAST}", body, headers)
    assert code(reply) == (422, 422001)
    assert not asking.simulator.books.accepted


@pytest.mark.parametrize(
    ("model", "document", "fields"),
    [
        (FAST, {}, ["text"]),
        (FAST, {"text": "a", "prompt": "a", "x": 1}, ["prompt", "x"]),
        (FAST, {"text": "a" * 501}, ["text"]),
        (FAST, {"text": 1, "duration": 13, "ratio": "adaptive"}, ["text", "duration", "ratio"]),
        (FAST, {"text": "a", "duration": "5"}, ["duration"]),
        (FAST, {"text": "a", "seed": 1.5}, ["seed"]),
        (LITE, {}, ["prompt", "first_frame_image_url"]),
        (LITE, {"prompt": "a", "first_frame_image_url": FRAME, "duration": 6}, ["duration"]),
        (PRO, {"prompt": "a", "first_frame_image_url": FRAME, "camera_fixed": 1}, ["camera_fixed"]),
        (PRO, {"prompt": "a", "first_frame_image_url": "fox.png"}, ["first_frame_image_url"]),
    ],
)
def test_every_broken_field_is_named(
    asking: Asking, model: str, document: object, fields: list[str]
) -> None:
    """`detail` is an array with an entry for each rule that is broken."""
    reply = asking.submit(document, model)
    assert code(reply) == (422, 422001)
    named = [entry["loc"][-1] for entry in read(reply)["detail"]]
    assert set(named) == set(fields)


def test_characters_count_as_code_points(asking: Asking) -> None:
    """500 foxes of four bytes each are 500 characters."""
    assert asking.submit({"text": "🦊" * 500}).status == 200
    assert asking.submit({"text": "🦊" * 501}).status == 422


def test_the_samples_of_the_documents_pass(asking: Asking) -> None:
    """A full request for each of the image models is accepted."""
    lite = {
        "prompt": "a",
        "first_frame_image_url": FRAME,
        "last_frame_image_url": FRAME,
        "resolution": "1080p",
        "duration": 10,
    }
    pro = {
        "prompt": "a" * 2000,
        "first_frame_image_url": FRAME,
        "ratio": "adaptive",
        "generate_audio": False,
        "camera_fixed": False,
    }
    assert asking.submit(lite, LITE).status == 200
    assert asking.submit(pro, PRO).status == 200


@pytest.mark.parametrize("model", ["seedance", FAST + "/", FAST.replace("/", "%2F")])
def test_what_cannot_be_a_model_id_is_400001(asking: Asking, model: str) -> None:
    """The slashes of a model id stay raw, and nothing is guessed."""
    assert code(asking.submit(FOX, model)) == (400, 400001)


@pytest.mark.parametrize("model", ["bytedance/unknown", FAST + "er"])
def test_an_unknown_model_is_404001(asking: Asking, model: str) -> None:
    """It looks like a model, and there is none."""
    assert code(asking.submit(FOX, model)) == (404, 404001)


def test_extra_models_are_offered_as_data() -> None:
    """A model beyond the package's schemas is one mapping."""
    model = "bytedance/seedance-2.5/text-to-video/720p"
    fields = {"prompt": {"type": "string"}, "duration": {"type": "integer"}}
    schema = {"type": "object", "required": ["prompt"], "properties": fields}
    asking = Asking(Simulator(extra_models={model: schema}, price_per_second={model: 0.35}))
    request_id = asking.accept({"prompt": "a", "duration": 30}, model)
    asking.now = 10_000.0
    assert read(asking.result(request_id, "?include_cost=true"))["cost"] == 10.5
    assert code(asking.submit({"text": "a"}, model)) == (422, 422001)


def test_a_full_queue_refuses_for_now() -> None:
    """`max_queue` bounds the waiting jobs; the refusal is a 429 with Retry-After."""
    asking = Asking(Simulator(capacity=1, max_queue=1))
    asking.accept(), asking.accept()
    reply = asking.submit()
    assert code(reply) == (429, 429)
    assert reply.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    "url",
    [
        "fox.png",
        "http://example.com/fox.png",
        "https:///fox.png",
        "https://exa mple.com/fox.png",
        "ftp://127.0.0.1/fox.png",
        "http://[::1/fox.png",
        "file:///etc/passwd",
        "data:text/plain;base64,YQ==",
        "data:image/png;base64,?",
        "data:image/png;base64,YQ==",
    ],
)
def test_an_image_must_be_https_or_loopback(asking: Asking, url: str) -> None:
    """What nobody outside could fetch is refused by its address alone."""
    reply = asking.submit({"prompt": "a", "first_frame_image_url": url}, LITE)
    assert code(reply) == (422, 422001)
    assert read(reply)["detail"][0]["loc"] == ["body", "first_frame_image_url"]


def embedded(width: int, height: int) -> str:
    return "data:image/png;base64," + base64.b64encode(png(width, height)).decode()


@pytest.mark.parametrize(
    ("width", "height", "word"),
    [
        (300, 400, "300 pixels"),
        (301, 301, None),
        (6000, 5000, "6000 pixels"),
        (5999, 5999, None),
        (400, 1000, "aspect ratio"),
        (1000, 400, "aspect ratio"),
        (999, 400, None),
    ],
)
def test_image_rules_are_strict_at_their_bounds(
    asking: Asking, width: int, height: int, word: str | None
) -> None:
    """Section 6: `<` and `>` as the schemas have them; the bound itself does not pass."""
    document = {"prompt": "a", "first_frame_image_url": embedded(width, height)}
    reply = asking.submit(document, LITE)
    if word is None:
        assert reply.status == 200
    else:
        assert word in read(reply)["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("probe", "status"),
    [
        (ImageFacts(800, 600, 1000), 200),
        (ImageFacts(800, 600, 30_000_000), 422),
        (Unusable("The image could not be fetched: HTTP 404."), 422),
    ],
)
def test_what_a_driver_measured_counts(asking: Asking, probe: Probe, status: int) -> None:
    """Images on loopback are named for a driver, and its probes decide."""
    url = "http://127.0.0.1:1/fox.png"
    document: dict[str, Any] = {"prompt": url, "first_frame_image_url": url}
    target, body = f"/v1/models/{LITE}", json.dumps(document).encode()
    assert asking.simulator.images_to_probe("POST", target, body) == (url,)
    reply = asking.simulator.receive("POST", target, HEADERS, body, 0.0, probes={url: probe})
    assert reply.status == status


def test_nothing_else_is_probed(asking: Asking) -> None:
    """Public images, prompts, other models and other requests are no business of a driver."""
    named = asking.simulator.images_to_probe
    inside = json.dumps({"text": "http://127.0.0.1/", "first_frame_image_url": FRAME}).encode()
    assert named("POST", f"/v1/models/{FAST}", inside) == ()
    assert named("POST", f"/v1/models/{LITE}", inside) == ()
    assert named("POST", "/v1/models/unknown", inside) == ()
    assert named("GET", "/v1/models", inside) == ()
    assert named("POST", f"/v1/models/{LITE}", b"http://") == ()


def test_a_cancel_with_a_body_is_refused(asking: Asking) -> None:
    """Section 4: no body."""
    request_id = asking.accept()
    assert code(asking.send("POST", f"/v1/requests/{request_id}/cancel", b"{}")) == (422, 422001)


@pytest.mark.parametrize(
    "settings", [{"capacity": 0}, {"speed": 0.0}, {"price_per_second": {"unknown": 1.0}}]
)
def test_senseless_settings_are_refused(settings: dict[str, Any]) -> None:
    """A simulator that could not work is not built."""
    with pytest.raises(ValueError, match=r"capacity|speed|prices"):
        Simulator(**settings)
