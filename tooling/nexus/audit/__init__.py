"""Audit: record.py is one record, trail.py the rules of a whole trail, source.py where one is got from, show.py how people see it."""
