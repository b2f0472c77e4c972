"""Judges the console of a run. Pure: takes lines and exit codes, returns verdicts; never opens, starts or waits for anything."""
