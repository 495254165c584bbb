"""The account behind the token: how it stands, and what is refused for its sake."""

import enum

import attrs

from .reply import Reply, refusal


class Account(enum.Enum):
    """How the account of the token stands."""

    ACTIVE = "active"
    EMPTY = "empty"
    """No balance: submits are refused with 400002; what runs, runs on."""
    UNPAID = "unpaid"
    """The same, told as HTTP 402."""
    DENIED = "denied"
    """Submits are refused with 403001; what runs, runs on."""
    EXPIRED = "expired"
    """Everything is refused with 400004."""


def check_balance(
    _instance: object, attribute: "attrs.Attribute[float | None]", value: float | None
) -> None:
    """Refuse a balance below zero: None is the one without a bound.

    Raises:
        ValueError: it is one.
    """
    if value is not None and not value >= 0:
        raise ValueError(
            f"{attribute.name} is {value}; it must be 0 or more, or None for any amount"
        )


def refuse_submit(account: Account, *, affordable: bool) -> Reply | None:
    """Refuse a sound request for the account's sake."""
    if account is Account.UNPAID:
        return refusal(402, 402001, "Payment required.")
    if account is Account.DENIED:
        return refusal(403, 403001, "Permission denied.")
    if account is Account.EMPTY or not affordable:
        return refusal(400, 400002, "Insufficient resources: the balance is used up.")
    return None
