# What wild.py and opcodes.py go for: whoever stages them puts another file of this name there.

WAY = "read"
ADDRESS = 0
SERVICE = b"init"
