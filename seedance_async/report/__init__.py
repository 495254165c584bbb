"""A batch as a page to look at: one HTML file beside the videos that works from disk, offline."""

from seedance_async.report.page import PAGE, write_page

__all__ = ["PAGE", "write_page"]
