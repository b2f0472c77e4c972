"""What a computer needs for nexus, one check per function. Called by doctor.py. Never changes, installs or fetches anything."""
