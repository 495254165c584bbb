"""What can go wrong: the names of the faults, and what each of them does."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ENDPOINTS: Final = ("submit", "status", "result", "cancel", "catalog", "video")
"""Where a request may go."""

SUBMIT_BEFORE: Final = MappingProxyType(
    {
        "drop-before-accept": "submit: the connection closes, nothing was accepted",
        "html-504": "submit: a gateway's HTML page, nothing was accepted",
        "html-502": "submit: the same with 502",
        "5xx-before-accept": "submit: 500, 502 or 503, nothing was accepted",
        "429": "submit: refused, Retry-After as seconds and as an HTTP date by turns",
        "429-bare": "submit: refused without a Retry-After",
        "refused-in-200": "submit: refused with error_code 422001, but as HTTP 200",
    }
)
SUBMIT_AFTER: Final = MappingProxyType(
    {
        "drop-after-accept": "submit: accepted, then the connection closes",
        "5xx-after-accept": "submit: accepted, then 500, 502 or 503",
        "html-502-after-accept": "submit: accepted, then a gateway's HTML page",
        "truncated-json": "submit: accepted, the answer cut short or unreadable by turns",
    }
)
POLL: Final = MappingProxyType(
    {
        "poll-drop": "status, result: the connection closes",
        "poll-html-504": "status, result: a gateway's HTML page",
        "poll-html-502": "status, result: the same with 502",
        "poll-html-404": "status, result: the same with 404, which says nothing of the job",
        "poll-5xx": "status, result: 500, 502 or 503",
        "poll-429": "status, result: refused, Retry-After by turns",
        "error-in-200": "status, result: HTTP 200 with error_code 500001",
        "poll-truncated-json": "status, result: the answer cut short or unreadable by turns",
    }
)
CANCEL: Final = MappingProxyType(
    {
        "cancel-drop": "cancel: done, then the connection closes",
        "cancel-5xx": "cancel: done, then 500, 502 or 503",
        "cancellation-requested": "cancel: the other spelling of the answer",
        "cancel-ignored": "cancel: answered as requested, but the job runs on",
    }
)
JOB: Final = MappingProxyType(
    {
        "failed": "the job fails",
        "stuck": "the job never ends",
        "expired": "the job's id is forgotten as soon as it is over",
        "not-yet-known": "the job's id is unknown for 5 seconds after its acceptance",
        "no-video": "the job completes and is billed, but its output is empty",
        "videos": "the output holds an array `videos` instead of `video`",
        "succeeded": "the result spells `succeeded` for `completed`",
        "not-ready-400": "a result asked too early is HTTP 400 with error_code 400005",
        "unknown-state": "a running job reads as a state that nobody documented",
        "accepted-202": "an accepted submit is HTTP 202",
        "bare-acceptance": "an accepted submit is answered with the request_id alone",
        "canceled": "the result spells `canceled` for `cancelled`",
        "no-position": "a status never tells the queue_position",
        "no-times": "a result tells neither created_at nor finished_at",
        "no-cost": "a result never tells the cost",
    }
)
VIDEO: Final = MappingProxyType(
    {
        "truncated-video": "download: the connection closes half-way",
        "slow-video": "download: a few kilobytes a second",
    }
)
ANY: Final = MappingProxyType(
    {
        "slow": "any API request: the answer takes seconds",
        "code-and-message": "any refusal: `code` and `message` for `error_code`, `error_message`",
    }
)
OUTAGE: Final = MappingProxyType(
    {"outage": "any request: the connection closes before the service has seen it"}
)
SILENT: Final = MappingProxyType({"unreachable": "nothing listens: nobody can connect"})

_PLACES: Final = (
    (SUBMIT_BEFORE, ("submit",)),
    (SUBMIT_AFTER, ("submit",)),
    (POLL, ("status", "result")),
    (CANCEL, ("cancel",)),
    (JOB, ()),
    (VIDEO, ("video",)),
    (ANY, tuple(endpoint for endpoint in ENDPOINTS if endpoint != "video")),
    (OUTAGE, ENDPOINTS),
    (SILENT, ()),
)

KNOWN: Final[Mapping[str, str]] = MappingProxyType(
    {name: meaning for group, _ in _PLACES for name, meaning in group.items()}
)
"""Every fault with what it does, for a command line's help."""

STRIKES_AT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {name: places for group, places in _PLACES for name in group}
)
"""The endpoints at which each fault can strike; none for what befalls jobs or whoever connects."""
