"""What a system consists of: raw.py as written, check.py the rules, model.py the checked result. Imports nothing by itself."""
