# draw: asks for entropy and exits with what came of it. Started by the selftest, by this manifest and by one that asks for less.

import drawing

drawing.draw()
