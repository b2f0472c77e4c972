# How every program in user mode is compiled and linked. Included by the makefiles of the runtime and of native programs.
# Needs BUILD, GEN (contract.h), and prefix maps in MAPS; gives BASE_CFLAGS, OWN_CFLAGS, LINK, SUPPORT.

# The clone's path may hold a space, which make can't: it is only ever used inside quotes, all other paths are relative to
# the folder of the makefile, a neighbour of this one.
NATIVE := ../native
FIRMWARE := ..
ROOT := $(shell cd ../.. && pwd -P)

CROSS_COMPILE = riscv64-unknown-elf-
CC = $(CROSS_COMPILE)gcc
NM = $(CROSS_COMPILE)nm
PYTHON ?= python3

# -misa-spec=2.2: with the newer spelling, rv64imac_zicsr, Debian's GCC 12 silently links the libraries of another machine.
ARCH = -march=rv64imac -misa-spec=2.2 -mabi=lp64 -mcmodel=medany
# Nothing of a build's time or place may reach the ELF.
# Twice, because GCC 12 tells the assembler of the second form only.
map = '-ffile-prefix-map=$(1)=$(2)' '-fdebug-prefix-map=$(1)=$(2)'
MAPS += $(call map,$(ROOT),/nexus)
export SOURCE_DATE_EPOCH = 1744675200 # the day of MicroPython 1.25.0, which the banner of its prompt tells
export LC_ALL = C

BASE_CFLAGS = $(ARCH) --specs=picolibc.specs -std=gnu11 -O2 -g -DNDEBUG -ffunction-sections -fdata-sections \
	-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-common $(MAPS)
OWN_CFLAGS = $(BASE_CFLAGS) -Wall -Wextra -Werror -I$(FIRMWARE)/include -I$(NATIVE) -I$(GEN)

LINK = $(CC) $(ARCH) --specs=picolibc.specs -nostartfiles -static -T$(BUILD)/user.ld \
	-Wl,-z,max-page-size=4096 -Wl,--gc-sections -Wl,--build-id=none -Wl,--fatal-warnings -Wl,-z,noexecstack

$(BUILD)/user.ld: $(FIRMWARE)/include/user.ld $(GEN)/contract.h
	$(Q)mkdir -p $(dir $@)
	$(Q)$(CC) -E -P -undef -x c -I$(GEN) -o $@ $<

# Those of some names that an ELF defines, whatever suffix the compiler gave them; fails if there are none.
symbols_among = $(NM) $(1) | awk '{print $$NF}' | sed 's/\..*//' | grep -Fx $(addprefix -e ,$(2))

# What every program can use: first instructions, contract digest, memory functions, frames of messages.
SUPPORT = $(addprefix $(BUILD)/native/, start.o digest.o memory.o frame.o)

$(BUILD)/native/%.o: $(NATIVE)/%.S
	$(Q)mkdir -p $(dir $@)
	$(Q)$(CC) $(OWN_CFLAGS) -MMD -c -o $@ $<
$(BUILD)/native/%.o: $(NATIVE)/%.c
	$(Q)mkdir -p $(dir $@)
	$(Q)$(CC) $(OWN_CFLAGS) -MMD -c -o $@ $<
# The compiler must not turn the loops of memcpy into calls of memcpy.
$(BUILD)/native/memory.o: OWN_CFLAGS += -fno-builtin -fno-tree-loop-distribute-patterns
$(BUILD)/native/sodium.o: OWN_CFLAGS += $(SODIUM_INC)
-include $(wildcard $(BUILD)/native/*.d)
