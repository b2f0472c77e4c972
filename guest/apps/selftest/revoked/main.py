# revoked: nothing of it ever runs. Staged by the selftest, to be refused.
