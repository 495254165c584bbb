"""Tests of the checks themselves, on doubles that are made to differ."""
