"""What a run may spend: the budget of all runs of a ledger, and the number of videos."""

from __future__ import annotations

from seedance_async.batch.entries import Money
from seedance_async.batch.stops import Stop, StopReason
from seedance_async.budget import Account, Reservation, shown, to_micro
from seedance_async.counting import counted
from seedance_async.jobs import Cancelled, Failed, Outcome, Succeeded
from seedance_async.models import Shape

__all__ = ["Purse"]


class Purse:
    """Admits rows while settled + reserved + their estimate stay within the budget.

    Args:
        account: What all runs settled and reserved so far, and the budget.
        max_videos: How many attempts may be paid for, of all runs together; None: any number.
    """

    def __init__(self, account: Account, max_videos: int | None) -> None:
        self._account = account
        self._max_videos = max_videos
        self.paid = 0
        """Attempts of all runs that are or may be paid for, those under way included."""

    @property
    def settled(self) -> int:
        """Micro-dollars that are spent."""
        return self._account.settled

    @property
    def reserved(self) -> int:
        """Micro-dollars that are set aside."""
        return self._account.reserved

    @property
    def money(self) -> Money:
        """All of it: what is spent and set aside, and of how much of that the cost is unknown."""
        account = self._account
        return Money(account.settled, account.reserved, account.unpriced, account.unestimated)

    def reserve(self, of_shape: Shape) -> Reservation | Stop:
        """Set the estimate of one more video aside, or say why it cannot be."""
        if self._max_videos is not None and self.paid >= self._max_videos:
            are = counted(self.paid, "video of this folder is", "videos of this folder are")
            return Stop(
                StopReason.MAX_VIDEOS,
                f"{are} or may be paid for, and --max-videos "
                f"(max_videos) allows {self._max_videos}: allow more to go on",
            )
        found = self._account.reserve(of_shape)
        if isinstance(found, str):
            return Stop(StopReason.BUDGET, self._why_not(of_shape) or found)
        self.paid += 1
        return found

    def _why_not(self, of_shape: Shape) -> str | None:
        budget, estimate = self._account.budget, self._account.estimate(of_shape)
        if budget is None or budget.usd is None or estimate is None:
            return None
        return (
            f"the next row's estimate of {shown(estimate)} does not fit into the budget: of "
            f"{shown(to_micro(budget.usd))}, {shown(self.settled)} are spent and "
            f"{shown(self.reserved)} reserved for what runs, is in doubt or lost, or ended without "
            f"a cost. A higher budget goes on; a doubt that is settled may free its part"
        )

    def affords(self, of_shape: Shape) -> bool:
        """Tell whether one more video could be reserved now."""
        found = self.reserve(of_shape)
        if isinstance(found, Stop):
            return False
        self.give_back(found)
        return True

    def adopt(self, of_shape: Shape, amount: int | None) -> Reservation:
        """Return the reservation of an earlier run's job; the account counts its money already."""
        return Reservation(of_shape, amount)

    def give_back(self, reservation: Reservation) -> None:
        """Take back what was set aside: surely nothing was accepted."""
        if reservation.open:
            self._account.release(reservation)
            self.paid -= 1

    def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """Book how a job ended; one that may be billed without a known cost stays reserved.

        A cost above the estimate raises what is set aside for all others of the same shape.
        """
        if isinstance(outcome, Succeeded | Failed | Cancelled):
            succeeded = isinstance(outcome, Succeeded)
            self._account.settle(reservation, outcome.cost_usd, succeeded=succeeded)
