// Names that can't be collected from the C files, because their identifier does not spell them.
Q(/rom)
