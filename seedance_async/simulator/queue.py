"""The line of waiting jobs and the slots they run in."""

import heapq
from bisect import bisect_left, insort
from collections import deque
from typing import Final

from .job import Job, JobState


class WorkQueue:
    """First in, first out, `capacity` at once; moved on by the times it is told.

    Every operation costs O(log n): a running job stands in a heap by its end, and a place in
    the line follows from ticket numbers, of which the cancelled ones are known in order.
    """

    def __init__(self, capacity: int) -> None:
        """Open `capacity` slots.

        Raises:
            ValueError: there would be no slot at all.
        """
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}; a queue needs at least one slot")
        self.capacity: Final = capacity
        self._waiting: deque[Job] = deque()
        self._running: list[tuple[float, int, Job]] = []
        self._gaps: list[int] = []  # tickets behind the head whose jobs were cancelled
        self._next_ticket = 0

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a slot."""
        return len(self._waiting) - len(self._gaps)

    def add(self, job: Job, now: float) -> None:
        """Put a job at the end of the line; it starts at once where a slot is free."""
        job.ticket = self._next_ticket
        self._next_ticket += 1
        self._waiting.append(job)
        self._fill(now)

    def cancel(self, job: Job, now: float) -> bool:
        """Take a waiting job out of the line; False (and nothing happens) once it has started."""
        if job.state is not JobState.QUEUED:
            return False
        job.state = JobState.CANCELLED
        job.finished_at = now
        insort(self._gaps, job.ticket)
        self._trim()
        return True

    def position(self, job: Job) -> int:
        """Count the jobs that wait in front of a waiting job: 0 is the next to start."""
        return (job.ticket - self._waiting[0].ticket) - bisect_left(self._gaps, job.ticket)

    def advance(self, now: float) -> list[Job]:
        """Let everything happen that is due by `now`; return the jobs that ended, in order."""
        ended: list[Job] = []
        while self._running and self._running[0][0] <= now:
            end, _, job = heapq.heappop(self._running)
            if not job.fate.stuck:
                job.state = JobState.SUCCEEDED if job.fate.error is None else JobState.FAILED
                job.finished_at = end
                ended.append(job)
            self._fill(end)
        return ended

    def _fill(self, now: float) -> None:
        while len(self._running) < self.capacity and self._waiting:
            job = self._waiting.popleft()
            job.state = JobState.RUNNING
            heapq.heappush(self._running, (now + job.work_seconds, job.ticket, job))
            self._trim()

    def _trim(self) -> None:
        """Keep the head of the line a job that really waits."""
        gone = 0
        while self._waiting and self._waiting[0].state is JobState.CANCELLED:
            self._waiting.popleft()
            gone += 1
        del self._gaps[:gone]
