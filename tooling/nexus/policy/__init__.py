"""Policy: raw.py reads rules, check.py refuses, compile.py makes the table that guest/lib/nexus_sel.py decides by, the rest explains."""
