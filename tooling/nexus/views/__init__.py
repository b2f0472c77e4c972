"""Views of a machine for people: sample.py and top.py what a live one does, facts.py, report.py and trace.py what a run was."""
