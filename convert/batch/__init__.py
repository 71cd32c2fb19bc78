"""Many exports in one run: cached, resumable, on one machine or many."""
