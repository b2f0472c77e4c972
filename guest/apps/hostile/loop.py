# Never does anything, never ends, never asks for anything.

while True:
    pass
