// Names that no C file mentions but every image uses; interned in the ELF instead of in each heap.
