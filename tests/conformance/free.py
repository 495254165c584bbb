"""Checks that cost nothing: what is refused, unknown or not there, and the catalog."""

from __future__ import annotations

import uuid

from .notes import Checks, Notes
from .service import Service, accepted_id
from .shapes import compare_error

FREE: Checks[Service] = Checks()

NO_SUCH_MODEL = "bytedance/no-such-model/conformance"
WRONG_TOKEN = "conformance-wrong-token"

_UNAUTHORIZED = ((401, 401001), (400, 400004))
_UNKNOWN_ID = (404, 404001)
_INVALID = (422, 422001)


@FREE.rule("errors", "an unknown request id is HTTP 404 with error_code 404001")
async def an_unknown_request_id_is_404001(service: Service, notes: Notes) -> None:
    """On all three endpoints."""
    request_id = uuid.uuid4()
    for method, end in (("GET", "status"), ("GET", "result"), ("POST", "cancel")):
        answer = await service.ask(method, f"/v1/requests/{request_id}/{end}")
        compare_error(notes, f"{end} of an unknown id", answer, _UNKNOWN_ID)


@FREE.rule("submitting", "an id has 1 to 128 letters, digits, _ and -; one unknown is a 404001")
async def every_id_of_the_charset_is_looked_up(service: Service, notes: Notes) -> None:
    """Ids need not be UUIDs."""
    for request_id in ("x", "A_b-9", "a" * 128):
        answer = await service.get(f"/v1/requests/{request_id}/result")
        compare_error(notes, f"result of the id {request_id[:9]}", answer, _UNKNOWN_ID)


@FREE.rule("errors", "a wrong token is HTTP 401 with 401001, or 400004, which may be HTTP 400")
async def a_wrong_token_is_refused(service: Service, notes: Notes) -> None:
    """With a job's result and with the catalog."""
    for path in (f"/v1/requests/{uuid.uuid4()}/result", "/v1/models"):
        answer = await service.get(path, token=WRONG_TOKEN)
        seen = compare_error(notes, f"{_end(path)} with a wrong token", answer, *_UNAUTHORIZED)
        words = f"HTTP {seen[0]}, {seen[1]}"
        notes.observe(f"{_end(path)} with a wrong token", "HTTP 401, 401001", words)


@FREE.rule("errors", "a missing token is HTTP 401 with 401001, or 400004, which may be HTTP 400")
async def a_missing_token_is_refused(service: Service, notes: Notes) -> None:
    """With a job's result and with the catalog."""
    for path in (f"/v1/requests/{uuid.uuid4()}/result", "/v1/models"):
        answer = await service.get(path, token="")
        seen = compare_error(notes, f"{_end(path)} without a token", answer, *_UNAUTHORIZED)
        words = f"HTTP {seen[0]}, {seen[1]}"
        notes.observe(f"{_end(path)} without a token", "HTTP 401, 401001", words)


@FREE.rule("errors", "submitting to an unknown model is refused: HTTP 404 with 404001, or 400001")
async def an_unknown_model_is_refused(service: Service, notes: Notes) -> None:
    """Before anything is billed."""
    answer = await service.submit(NO_SUCH_MODEL, service.body, "an unknown model")
    await _take_back(service, notes, accepted_id(answer), "submit to an unknown model")
    wanted = ((404, 404001), (400, 400001), (404, 400001))
    seen = compare_error(notes, "submit to an unknown model", answer, *wanted)
    notes.observe("submit to an unknown model", "HTTP 404, 404001", f"HTTP {seen[0]}, {seen[1]}")


@FREE.rule("errors", "a body that breaks the model's schema is a 422 whose detail names the fields")
async def an_invalid_body_is_refused_field_by_field(service: Service, notes: Notes) -> None:
    """None of these could become a video: each lacks what a model requires, or is no JSON."""
    where = "submit with an empty object"
    answer = await service.submit(service.model, {}, where)
    await _take_back(service, notes, accepted_id(answer), where)
    compare_error(notes, where, answer, _INVALID)
    detail = answer.document.get("detail")
    notes.must(bool(detail), f"{where}, detail", "what is missing", answer)
    seen = type(detail).__name__
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        seen = f"a list of objects with {', '.join(sorted(detail[0]))}"
    notes.observe("detail of an invalid body", "a list of objects with loc, msg, type", seen)


@FREE.rule("errors", "what is no JSON object is refused as invalid: HTTP 422 with 422001")
async def a_body_that_is_no_object_is_refused(service: Service, notes: Notes) -> None:
    """Half a document, a list, nothing at all."""
    for words, body in (("half a document", b'{"'), ("a list", b"[]"), ("nothing", b"")):
        where = f"submit with {words}"
        answer = await service.submit(service.model, body, where)
        await _take_back(service, notes, accepted_id(answer), where)
        compare_error(notes, where, answer, _INVALID)


@FREE.rule("errors", "a path that nobody knows is a 404, and no word about any request id")
async def an_unknown_path_is_no_verdict(service: Service, notes: Notes) -> None:
    """A client takes error_code 404001 for the loss of a job, so it must not stand here."""
    for path in ("/v2/nothing", "/v1/requests/x/nothing"):
        answer = await service.get(path)
        notes.same(f"GET {path}, HTTP status", 404, answer.status or str(answer))
        code = answer.document.get("error_code")
        notes.must(code != 404001, f"GET {path}", "no error_code 404001", answer)
        notes.observe("form of an unknown path's 404", "text/html", answer.kind)


@FREE.rule("the whole", "there is no list of requests: an id that is lost is lost")
async def there_is_no_list_of_requests(service: Service, notes: Notes) -> None:
    """Were there one, every doubt could be settled; worth knowing."""
    for path in ("/v1/requests", "/v1/requests/"):
        answer = await service.get(path)
        notes.must(answer.status in (404, 405), f"GET {path}", "HTTP 404", answer)


@FREE.rule("the whole", "results are read with GET, jobs are cancelled with POST: others are a 405")
async def other_methods_are_405(service: Service, notes: Notes) -> None:
    """Above all, asking with GET cancels nothing."""
    for method, end in (("POST", "status"), ("POST", "result"), ("GET", "cancel")):
        answer = await service.ask(method, f"/v1/requests/{uuid.uuid4()}/{end}")
        notes.same(f"{method} {end}, HTTP status", 405, answer.status or str(answer))


async def _take_back(service: Service, notes: Notes, request_id: str, where: str) -> None:
    """Cancel at once what should not have been accepted."""
    if request_id:
        answer = await service.cancel(request_id)
        notes.differ(where, "a refusal", f"accepted as {request_id}; cancelled at once: {answer}")


def _end(path: str) -> str:
    return path.rpartition("/")[2]
