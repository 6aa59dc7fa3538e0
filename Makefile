# slmctl - one non-recursive Makefile. `make help` lists the targets.

VERSION  := 0.1.0
CC       ?= cc
NVCC     ?= nvcc
SAN      ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
comma    := ,
VARIANT  ?= $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
BUILD    := build/$(VARIANT)
Q        := $(if $(filter 1,$(V)),,@)

WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion \
            -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
            -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
            -Wformat=2 -Wdouble-promotion -Wno-missing-field-initializers
WERROR   ?= $(if $(CI),-Werror,)
CFLAGS   ?= -O2 -g

# CFLAGS, CPPFLAGS, LDFLAGS and LDLIBS belong to the person who builds. What
# the code needs is kept apart, so that `make CFLAGS=-O3` cannot remove it.
SLM_CPPFLAGS := -Ilib -D_GNU_SOURCE -DSLMCTL_VERSION='"$(VERSION)"'
SLM_CFLAGS   := -std=c11 -pthread -fvisibility=hidden -fno-math-errno \
                -ffp-contract=off -ffile-prefix-map=$(CURDIR)=. $(WARN) $(WERROR)
SLM_LDFLAGS  := -pthread
SLM_LDLIBS   := -lsqlite3 -lzstd -lpcre2-8 -lcjson -lsodium -ldl -lm
ifneq ($(SAN),)
SLM_CFLAGS   += -O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
SLM_LDFLAGS  += -fsanitize=$(SAN)
endif
ISA_FLAGS    :=
ALL_CFLAGS    = $(SLM_CPPFLAGS) $(CPPFLAGS) $(CFLAGS) $(SLM_CFLAGS) $(ISA_FLAGS)
ALL_LDLIBS    = $(LDLIBS) $(SLM_LDLIBS)

# Sorted, so that the link order and therefore the binary do not depend on
# the order in which the file system lists files.
LIB_C   := $(sort $(wildcard lib/*/*.c lib/*/cpu/*.c))
CMD_C   := $(sort $(wildcard cmd/*.c))
TEST_C  := $(sort $(wildcard tests/unit/test_*.c))
BENCH_C := $(sort $(wildcard tests/bench/bench_*.c))
FUZZ_C  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
TOOL_C  := $(sort $(wildcard data/agent/*.c))
ASSETS  := $(sort $(wildcard data/schema/*.sql data/rules/*.rules data/models.tsv data/prices.tsv))

obj     = $(patsubst %,$(BUILD)/%.o,$(1))
LIB_O  := $(call obj,$(LIB_C)) $(BUILD)/gen/assets.S.o
CMD_O  := $(call obj,$(CMD_C))
TESTS  := $(patsubst tests/unit/%.c,$(BUILD)/%,$(TEST_C))

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

all: $(BUILD)/slmctl ## build the program (default)

# One file per instruction set, with its own flags (see lib/compute).
$(BUILD)/%_avx2.c.o: ISA_FLAGS := -mavx2 -mfma -mf16c
$(BUILD)/%_avx512.c.o: ISA_FLAGS := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c
$(BUILD)/tests/%: SLM_CFLAGS += -Wno-double-promotion -Wno-format-extra-args

$(BUILD)/%.c.o: %.c
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The files that are part of the binary, as one table (lib/assets).
$(BUILD)/gen/assets.S: $(ASSETS) Makefile
	@mkdir -p $(@D)
	$(Q){ printf '.section .rodata\n'; i=0; for f in $(ASSETS); do \
	  printf 'n%d: .asciz "%s"\nd%d: .incbin "%s"\ne%d: .byte 0\n' \
	    $$i "$${f#data/}" $$i "$$f" $$i; i=$$((i + 1)); done; \
	  printf '.balign 8\n.globl assets_table_count\n.hidden assets_table_count\n'; \
	  printf 'assets_table_count: .quad %d\n' $$i; \
	  printf '.section .data.rel.ro,"aw"\n.balign 8\n.globl assets_table\n.hidden assets_table\nassets_table:\n'; \
	  j=0; while [ $$j -lt $$i ]; do printf '.quad n%d, d%d, e%d - d%d\n' $$j $$j $$j $$j; j=$$((j + 1)); done; \
	  printf '.section .note.GNU-stack,"",%%progbits\n'; } > $@

$(BUILD)/gen/assets.S.o: $(BUILD)/gen/assets.S
	@echo '  AS    $<'
	$(Q)$(CC) -c -o $@ $<

$(BUILD)/libslm.a: $(LIB_O)
	@echo '  AR    $@'
	$(Q)rm -f $@ && $(AR) rcsD $@ $^

$(BUILD)/slmctl: $(CMD_O) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/agentgen: $(call obj,$(TOOL_C)) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/test_%: $(BUILD)/tests/unit/test_%.c.o $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs check) $(ALL_LDLIBS)

unit: $(if $(T),$(BUILD)/test_$(T),$(TESTS)) ## unit tests; T=name runs one of them
	$(Q)for t in $(if $(T),$(BUILD)/test_$(T),$(TESTS)); do $$t || exit 1; done

# The shipped logs: the same bytes for the same zstd. Needs the zstd program.
agent-logs: $(BUILD)/agentgen ## write the agent's logs in data/agent/ again
	$(Q)$(BUILD)/agentgen logs --out build/agent
	$(Q)for f in logs.jsonl gold.jsonl planted.txt; do \
	  zstd -q -19 -f build/agent/$$f -o data/agent/$$f.zst || exit 1; done

clean: ## remove build/
	$(Q)rm -rf build

help: ## list these targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t18

.PHONY: agent-logs all unit clean help
-include $(patsubst %.o,%.d,$(LIB_O) $(CMD_O) $(call obj,$(TEST_C) $(BENCH_C) $(TOOL_C)))
