"""Many exports in one run: cached, resumable, on one machine or many."""

from convert import make_callable

make_callable(__name__)
