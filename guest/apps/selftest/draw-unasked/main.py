# draw, as draw has it. Started by the selftest, to be refused.

import drawing

drawing.draw()
