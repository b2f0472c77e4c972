# Where wild.py goes: whoever stages it puts a file of this name with another place and another way there.

WAY = "read"
ADDRESS = 0
