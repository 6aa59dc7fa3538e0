# slmctl - one non-recursive Makefile. `make help` lists the targets.

VERSION  := 0.1.0
CC       ?= cc
NVCC     ?= nvcc
SAN      ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
BINDIR   ?= $(PREFIX)/bin
DATADIR  ?= $(PREFIX)/share
MANDIR   ?= $(DATADIR)/man
PLUGINDIR ?= $(abspath $(BINDIR)/../lib/slmctl)
comma    := ,
VARIANT  ?= $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
BUILD    := build/$(VARIANT)
Q        := $(if $(filter 1,$(V)),,@)

# Debian packages: to build and run, to test, and for the longer tests.
DEPS       := gcc libc6-dev make pkg-config libsqlite3-dev libzstd-dev \
              libpcre2-dev libcjson-dev libsodium-dev libopenblas0-pthread \
              libcurl4-openssl-dev zlib1g-dev
DEPS_CHECK := check jq mandoc sqlite3 zstd
DEPS_SLOW  := valgrind nginx-light haproxy
DEPS_CI    := $(DEPS_SLOW) bash-completion clang clang-format cppcheck fish g++ \
              shellcheck zsh

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
SLM_LDLIBS   := -lsqlite3 -lzstd -lpcre2-8 -lcjson -lsodium -lz -ldl -lm
ifneq ($(SAN),)
SLM_CFLAGS   += -O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
SLM_LDFLAGS  += -fsanitize=$(SAN)
endif
COVER        ?=
COVER_FLAGS  := -fprofile-instr-generate -fcoverage-mapping
ifneq ($(COVER),) # counts of what ran, for llvm-cov
SLM_CFLAGS   += $(COVER_FLAGS)
endif
ISA_FLAGS    :=
X86          := $(findstring x86_64,$(shell $(CC) -dumpmachine))
ALL_CFLAGS    = $(SLM_CPPFLAGS) $(CPPFLAGS) $(CFLAGS) $(SLM_CFLAGS) $(ISA_FLAGS)
ALL_LDLIBS    = $(LDLIBS) $(SLM_LDLIBS)

# Sorted, so that the link order and therefore the binary do not depend on
# the order in which the file system lists files.
LIB_C   := $(sort $(wildcard lib/*/*.c lib/*/cpu/*.c))
CMD_C   := $(sort $(wildcard cmd/*.c))
TEST_C  := $(sort $(wildcard tests/unit/test_*.c))
BENCH_C := $(sort $(wildcard tests/bench/bench_*.c))
FUZZ_C  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
SLOW_C  := $(sort $(wildcard tests/slow/*.c))
TOOL_C  := $(sort $(wildcard data/agent/*.c))
NAMES_C := $(sort $(wildcard data/names/*.c))
ASSETS  := $(sort $(wildcard data/schema/*.sql data/rules/*.rules data/models.tsv data/prices.tsv \
             data/names/*.bin data/names/draw.txt))

obj     = $(patsubst %,$(BUILD)/%.o,$(1))
LIB_O  := $(call obj,$(LIB_C)) $(BUILD)/gen/assets.S.o
CMD_O  := $(call obj,$(CMD_C))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(FUZZ_C))
TESTS  := $(patsubst tests/unit/%.c,$(BUILD)/%,$(TEST_C))
SLOW   := $(patsubst tests/slow/%.c,$(BUILD)/%,$(SLOW_C))

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

all: $(BUILD)/slmctl ## build the program (default)

# One file per instruction set, with its own flags (see lib/compute); elsewhere
# than on x86 they are empty. clang 14 does not end on the AVX2 kernels with its
# SLP vectorizer on.
$(BUILD)/%_generic.c.o: ISA_FLAGS := -O3 -fno-tree-slp-vectorize
$(BUILD)/%_avx2.c.o: ISA_FLAGS := -O3 -fno-tree-slp-vectorize \
    $(if $(X86),-mavx2 -mfma -mf16c)
$(BUILD)/%_avx512.c.o: ISA_FLAGS := -O3 -fno-tree-slp-vectorize \
    $(if $(X86),-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c)
$(BUILD)/%_avxvnni.c.o: ISA_FLAGS := -O3 -fno-tree-slp-vectorize \
    $(if $(X86),-mavx2 -mfma -mf16c -mavxvnni)
$(BUILD)/%_avx512vnni.c.o: ISA_FLAGS := -O3 -fno-tree-slp-vectorize \
    $(if $(X86),-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c)
$(BUILD)/%_neon.c.o: ISA_FLAGS := -O3 -fno-tree-slp-vectorize
ifneq ($(SAN),)
# These sets have the code of avx512 and avx2 but for one product, or stand in
# for it, and to instrument unrolled kernels takes minutes.
$(BUILD)/lib/compute/cpu/%vnni.c.o $(BUILD)/tests/unit/kernels_wide.c.o: \
    SLM_CFLAGS := $(filter-out -fsanitize=$(SAN) $(COVER_FLAGS),$(SLM_CFLAGS))
endif
ifneq ($(findstring fuzzer,$(SAN)),)
# clang takes minutes to instrument unrolled kernels, and no parser uses them.
$(BUILD)/lib/compute/%.c.o: SLM_CFLAGS := $(filter-out -fsanitize=$(SAN) $(COVER_FLAGS),$(SLM_CFLAGS))
endif
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

$(BUILD)/namestool: $(call obj,$(NAMES_C)) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/test_%: $(BUILD)/tests/unit/test_%.c.o $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs check) $(ALL_LDLIBS)

# The kernels once more, at AVX-512's width on any machine with AVX2.
KERNELS_WIDE := $(BUILD)/tests/unit/kernels_wide.c.o
$(KERNELS_WIDE): ISA_FLAGS := -O2 -fno-tree-slp-vectorize -Wno-psabi \
    $(if $(X86),-mavx2 -mfma -mf16c)
$(BUILD)/test_kernels: $(KERNELS_WIDE)

FUZZ_MAIN := $(call obj,tests/fuzz/memory_file.c tests/fuzz/replay.c)
$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.c.o $(FUZZ_MAIN) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/slow_%: $(BUILD)/tests/slow/slow_%.c.o $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/bench_%: $(BUILD)/tests/bench/bench_%.c.o $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

# Plugins for test_compute_plugin: right, and without one of its symbols.
FAKES := $(BUILD)/plugins/fake/slmctl-cuda.so $(BUILD)/plugins/without-open/slmctl-cuda.so
$(BUILD)/test_compute_plugin: | $(FAKES)
$(BUILD)/plugins/without-open/slmctl-cuda.so: FAKE_FLAGS := -DFAKE_WITHOUT_OPEN
$(FAKES): tests/unit/plugin_fake.c $(wildcard lib/compute/*.h)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC $(FAKE_FLAGS) -shared $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $<

# The GPU's plugin (lib/compute/cuda): code for Ampere and Hopper, and PTX for
# what comes after. It exports two symbols and needs a driver only when it runs.
CUDA_CU    := $(sort $(wildcard lib/compute/cuda/*.cu))
CUDA_O     := $(patsubst %,build/cuda/%.o,$(CUDA_CU)) build/cuda/err.c.o
CUDA_SO    := build/cuda/slmctl-cuda.so
CUDA_MAP   := lib/compute/cuda/cuda_exports.map
# What the user named is taken or missed; only without a word it is looked for.
CUDA_NVCC   = $(shell command -v $(NVCC)$(if $(filter file,$(origin NVCC)), || command -v /usr/local/cuda/bin/nvcc))
NVCCFLAGS  ?= -O3
CUDA_TARGETS ?= arch=compute_80,code=sm_80 arch=compute_90a,code=sm_90a \
    arch=compute_80,code=compute_80
SLM_NVCCFLAGS := -std=c++17 --threads 0 --compress-mode=size -Ilib \
    -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra,-ffile-prefix-map=$(CURDIR)=. \
    $(foreach t,$(CUDA_TARGETS),-gencode $(t)) $(if $(WERROR),-Werror all-warnings)

cuda: ## build the GPU's plugin; needs nvcc
	$(Q)[ -n '$(CUDA_NVCC)' ] || { echo "cuda: $(NVCC) is not found; install CUDA's compiler, or say NVCC=/path/to/nvcc"; exit 1; }
	$(Q)$(MAKE) CUDA_NVCC='$(CUDA_NVCC)' $(CUDA_SO) $(BUILD)/slmctl-cuda.so

build/cuda/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo '  NVCC  $<'
	$(Q)$(CUDA_NVCC) $(SLM_NVCCFLAGS) $(NVCCFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

build/cuda/err.c.o: lib/base/err.c lib/base/err.h
	@mkdir -p $(@D)
	@echo '  CC    $< (plugin)'
	$(Q)$(CC) $(SLM_CPPFLAGS) $(CFLAGS) $(filter-out -fsanitize=%,$(SLM_CFLAGS)) -fPIC -c -o $@ $<

# C++'s libraries inside: what uses them is part of CUDA's runtime.
CUDA_LINK := -Xcompiler -static-libstdc++,-static-libgcc
$(CUDA_SO): $(CUDA_O) $(CUDA_MAP)
	@echo '  LINK  $@'
	$(Q)$(CUDA_NVCC) -shared -cudart static $(CUDA_LINK) -Xlinker --no-undefined,--version-script=$(CUDA_MAP) -o $@ $(CUDA_O)

$(BUILD)/slmctl-cuda.so: $(CUDA_SO)
	@mkdir -p $(@D)
	$(Q)cp $< $@.new && mv -f $@.new $@

PARITY_O := $(call obj,$(sort $(wildcard tests/gpu/parity*.c)) tests/gpu/gpu_parity.c)
$(BUILD)/gpu_parity: $(PARITY_O) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/gpu_memory: $(call obj,tests/gpu/gpu_memory.c) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

GPU_BENCH_O := $(call obj,$(sort $(wildcard tests/gpu/bench*.c)) tests/gpu/gpu_bench.c)
$(BUILD)/gpu_bench: $(GPU_BENCH_O) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/gpu_steps: $(call obj,tests/gpu/gpu_steps.c) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/gpu_wgmma: build/cuda/tests/gpu/gpu_wgmma.cu.o build/cuda/lib/compute/cuda/cuda_wgmma.cu.o
	@echo '  LINK  $@'
	@mkdir -p $(@D)
	$(Q)$(CUDA_NVCC) -cudart static $(CUDA_LINK) -o $@ $^

# The plugin's own host code over a CUDA runtime that runs nothing, and what
# shows the machine code of the one that does.
build/cuda/dry_runtime.c.o: tests/gpu/dry_runtime.c
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(Q)$(CC) -I$(dir $(CUDA_NVCC))../include $(SLM_CPPFLAGS) $(CFLAGS) \
	  $(filter-out -fsanitize=% -Wpedantic,$(SLM_CFLAGS)) -fPIC -c -o $@ $<

build/cuda-dry/slmctl-cuda.so: $(CUDA_O) build/cuda/dry_runtime.c.o $(CUDA_MAP)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(CUDA_NVCC) -shared -cudart none -Xlinker --no-undefined,--version-script=$(CUDA_MAP) -o $@ \
	  $(CUDA_O) build/cuda/dry_runtime.c.o

$(BUILD)/gpu_code: $(call obj,tests/gpu/gpu_code.c) $(BUILD)/libslm.a
	@echo '  LINK  $@'
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

cuda-check: ## the plugin's machine code and launches, without a GPU
	$(Q)$(MAKE) cuda
	$(Q)$(MAKE) CUDA_NVCC='$(CUDA_NVCC)' build/cuda-dry/slmctl-cuda.so $(BUILD)/gpu_code $(BUILD)/gpu_parity $(BUILD)/gpu_bench
	$(Q)sh tests/gpu/kernels.sh $(CUDA_SO) build/cuda-dry/slmctl-cuda.so $(BUILD) build/gpu/kernels

cuda-report: cuda-check ## the same, and its tables for tests/bench/results
	$(Q)cp build/gpu/kernels/kernels.md build/gpu/kernels/h200.md tests/bench/results/

check-gpu: $(BUILD)/gpu_parity $(BUILD)/gpu_bench ## every operation on a GPU against the CPU
	$(Q)mkdir -p build/gpu
	$(Q)for k in wgmma/bf16 mma/bf16 mma/tf32 simt/f32 cpu; do echo "== gpu_parity $$k"; \
	  case $$k in cpu) o='--device cpu --kernels generic --quick' ;; *) o="--kernels $${k%/*} --precision $${k#*/}" ;; esac; \
	  sh tests/gpu/gpu_parity.sh $(BUILD)/gpu_parity build/gpu/$$(echo $$k | tr / -) $$o; done | \
	  awk '{ print } /^[0-9]+ passed, / { p += $$1; f += $$3; s += $$5 } \
	    END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }'

# The same programs for another machine: they look for libraries in lib beside
# them.
CARRIED     := build/carried
CARRIED_BIN := $(addprefix $(CARRIED)/,slmctl gpu_parity gpu_steps gpu_bench gpu_memory gpu_code)
$(CARRIED)/slmctl: $(CMD_O)
$(CARRIED)/gpu_parity: $(PARITY_O)
$(CARRIED)/gpu_steps: $(call obj,tests/gpu/gpu_steps.c)
$(CARRIED)/gpu_bench: $(GPU_BENCH_O)
$(CARRIED)/gpu_memory: $(call obj,tests/gpu/gpu_memory.c)
$(CARRIED)/gpu_code: $(call obj,tests/gpu/gpu_code.c)
$(CARRIED_BIN): $(BUILD)/libslm.a
	@echo '  LINK  $@'
	@mkdir -p $(@D)
	$(Q)$(CC) $(SLM_LDFLAGS) $(LDFLAGS) -Wl,-rpath,'$$ORIGIN/lib' -o $@ $(filter %.o,$^) $(BUILD)/libslm.a $(ALL_LDLIBS)

$(CARRIED)/gpu_wgmma: $(BUILD)/gpu_wgmma
	@mkdir -p $(@D)
	$(Q)cp $< $@

gpu-bundle: ## all that a machine with a GPU needs to test the plugin, in build/gpu-bundle
	$(Q)$(MAKE) cuda
	$(Q)$(MAKE) CUDA_NVCC='$(CUDA_NVCC)' $(CARRIED_BIN) $(CARRIED)/gpu_wgmma
	$(Q)sh tests/gpu/bundle.sh $(CARRIED) $(CUDA_SO) build/gpu-bundle

# The plugin's sources for this machine's processor, threads as fibers: what the
# kernels compute is tested without a GPU (tests/gpu/emulated).
EMULATED     := build/emulated
EMULATED_DIR := tests/gpu/emulated
EMULATED_SRC := $(patsubst lib/%,$(EMULATED)/src/%,$(wildcard lib/compute/cuda/*.cu lib/compute/cuda/*.cuh))
EMULATED_MINE := $(patsubst $(EMULATED_DIR)/%.cu,$(EMULATED)/%.o,$(wildcard $(EMULATED_DIR)/*.cu))
EMULATED_O   := $(patsubst %.cu,%.o,$(filter %.cu,$(EMULATED_SRC))) $(EMULATED_MINE) build/cuda/err.c.o
EMULATED_BIN := $(addprefix $(EMULATED)/,slmctl gpu_parity gpu_steps gpu_bench gpu_memory)
EMULATED_WGMMA := $(addprefix $(EMULATED)/,src/gpu_wgmma.o src/compute/cuda/cuda_wgmma.o) $(EMULATED_MINE)
EMULATED_CXX := $(CXX) -std=c++17 -O2 -march=native -g -fPIC -fvisibility=hidden -ffp-contract=off -fno-strict-aliasing \
    -DSCRATCH_GRAIN=256 -Wall -Wextra -Wno-unknown-pragmas -Wno-sign-compare -Wno-psabi $(WERROR) -I$(EMULATED_DIR) -I$(EMULATED)/src -Ilib -MMD -MP

emulated: $(EMULATED)/slmctl-cuda.so $(EMULATED_BIN) $(EMULATED)/gpu_wgmma $(EMULATED)/other/slmctl-cuda.so ## the GPU's plugin with its kernels run by the CPU, for tests

check-emulated: emulated ## the GPU plugin's kernels, run by the CPU, against the CPU's own
	$(Q)sh $(EMULATED_DIR)/check.sh $(EMULATED)

$(EMULATED)/src/%: lib/% $(EMULATED_DIR)/translate.awk
	@mkdir -p $(@D)
	$(Q)awk -f $(EMULATED_DIR)/translate.awk $< >$@

$(EMULATED)/src/gpu_wgmma.cu: tests/gpu/gpu_wgmma.cu $(EMULATED_DIR)/translate.awk
	@mkdir -p $(@D)
	$(Q)awk -f $(EMULATED_DIR)/translate.awk $< >$@

# A plugin that can be of another version.
$(EMULATED)/other/slmctl-cuda.so: $(BUILD)/plugins/fake/slmctl-cuda.so
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(EMULATED)/gpu_wgmma: $(EMULATED_WGMMA)
	@echo '  LINK  $@'
	$(Q)$(CXX) -o $@ $^

$(EMULATED)/src/%.o: $(EMULATED)/src/%.cu | $(EMULATED_SRC)
	@echo '  CXX   $<'
	$(Q)$(EMULATED_CXX) $(CXXFLAGS) -x c++ -c -o $@ $<

$(EMULATED_MINE): CXXFLAGS += -O3
$(EMULATED_MINE): $(EMULATED)/%.o: $(EMULATED_DIR)/%.cu
	@mkdir -p $(@D)
	@echo '  CXX   $<'
	$(Q)$(EMULATED_CXX) $(CXXFLAGS) -x c++ -c -o $@ $<

$(EMULATED)/slmctl-cuda.so: $(EMULATED_O) $(CUDA_MAP)
	@echo '  LINK  $@'
	$(Q)$(CXX) -shared -Wl,--no-undefined,--version-script=$(CUDA_MAP) -o $@ $(EMULATED_O)

$(EMULATED_BIN): $(EMULATED)/%: $(BUILD)/%
	$(Q)cp $< $@

# Installs what dpkg does not have; asks for sudo only if it must.
need = @missing=; command -v dpkg-query >/dev/null || exit 0; for p in $(1); do \
  dpkg-query -W -f '$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
  [ -z "$$missing" ] && exit 0; echo "installing$$missing"; \
  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; export DEBIAN_FRONTEND=noninteractive; \
  $$sudo apt-get update -q && $$sudo apt-get install -q -y --no-install-recommends $$missing

tiers = sh tests/tiers.sh $(BUILD)
TIERS ?= lint unit fuzz cli

unit: $(if $(T),$(BUILD)/test_$(T),$(TESTS)) ## unit tests; T=name runs one of them
	$(Q)$(if $(T),CK_TIMEOUT_MULTIPLIER=10 $(BUILD)/test_$(T),$(tiers) unit)

check: check-deps ## install what tests need, build, run all quick tests
	$(Q)$(MAKE) $(BUILD)/slmctl $(BUILD)/agentgen $(BUILD)/namestool $(TESTS) $(FUZZERS)
	$(Q)$(tiers) $(TIERS)

check-lint: $(BUILD)/slmctl ## rules of the tree, manuals, completions
	$(Q)$(tiers) lint

check-unit: unit ## the same as unit

check-fuzz: $(FUZZERS) ## replay the corpora of the fuzz targets
	$(Q)$(tiers) fuzz

# With F=json: search for new inputs with clang's libFuzzer for S seconds.
S ?= 60
SAN_FUZZ := fuzzer-no-link,address,undefined,float-cast-overflow
fuzz: ## search for inputs that break a parser; F=json S=60
	$(Q)$(MAKE) CC=clang VARIANT=fuzz SAN=$(SAN_FUZZ) fuzz-link
	$(Q)mkdir -p build/fuzz/corpus/$(F)
	$(Q)sh tests/fuzz/dictionary.sh $(F) >build/fuzz/$(F).dict
	$(Q)cd build/fuzz && ./fuzz_$(F) -max_total_time=$(S) -print_final_stats=0 \
	  -timeout=10 -rss_limit_mb=4096 $$([ ! -s $(F).dict ] || echo -dict=$(F).dict) \
	  corpus/$(F) ../../tests/fuzz/corpus/$(F)

# With RUNS=1000000: so many executions of each target, or of those in FIGURES.
RUNS    ?= 1000000
FIGURES ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_C))
fuzz-figures: ## executions, findings and coverage of the fuzz targets; hours
	$(Q)$(MAKE) CC=clang VARIANT=fuzz SAN=$(SAN_FUZZ) fuzz-link F='$(FIGURES)'
	$(Q)$(MAKE) CC=clang VARIANT=fuzz-cover SAN=fuzzer-no-link COVER=1 \
	  fuzz-link F='$(FIGURES)'
	$(Q)sh tests/fuzz/figures.sh $(RUNS) $(FIGURES)

FUZZ_LINKED = $(patsubst %,$(BUILD)/link_%,$(F))
fuzz-link: $(FUZZ_LINKED)
$(BUILD)/link_%: $(BUILD)/tests/fuzz/fuzz_%.c.o $(BUILD)/tests/fuzz/memory_file.c.o $(BUILD)/libslm.a
	@echo '  LINK  $(BUILD)/fuzz_$*'
	$(Q)$(CC) -fsanitize=$(subst fuzzer-no-link,fuzzer,$(SAN)) \
	  $(if $(COVER),$(COVER_FLAGS)) -o $(BUILD)/fuzz_$* $^ $(ALL_LDLIBS)
	$(Q)touch $@

check-cli: $(BUILD)/slmctl $(BUILD)/agentgen $(BUILD)/namestool ## tests of the program as a whole
	$(Q)$(tiers) cli

check-slow: check-deps ## valgrind, load and training tests: minutes
	$(call need,$(DEPS_SLOW))
	$(Q)$(MAKE) $(BUILD)/slmctl $(BUILD)/agentgen $(TESTS) $(SLOW)
	$(Q)$(tiers) slow

deps: ## install the packages that building and running needs
	$(call need,$(DEPS))

check-deps: deps
	$(call need,$(DEPS_CHECK))

ci-deps: check-deps
	$(call need,$(DEPS_CI))

# SEED=N: on logs that are drawn again, which nothing was ever tuned on.
demo: deps ## from an agent's logs to small models at work, offline; SEED=2: other logs
	$(Q)$(MAKE) all $(BUILD)/agentgen
	$(Q)$(if $(SEED),$(BUILD)/agentgen logs --seed $(SEED) --out build/agent-$(SEED))
	$(Q)SLMCTL=$(BUILD)/slmctl AGENTGEN=$(BUILD)/agentgen \
	  $(if $(SEED),DEMO_SEED=$(SEED) DEMO_LOGS=build/agent-$(SEED) DEMO_DIR=build/demo-$(SEED)) \
	  sh data/agent/demo.sh

# Peers are found by the variables that tests/bench/README.md lists; B=gemm runs
# one benchmark.
bench: $(BUILD)/slmctl $(patsubst tests/bench/%.c,$(BUILD)/%,$(BENCH_C)) ## time slmctl beside its peers, as one table; B=gemm: one of them
	$(Q)sh tests/bench/table.sh $(BUILD) $(B)

bench-proxy: $(BUILD)/slmctl $(BUILD)/bench_origin $(BUILD)/bench_load ## time the logging proxy beside nginx and LiteLLM
	$(Q)sh tests/bench/proxy.sh $(BUILD)

format: ## format the sources with clang-format
	$(Q)git ls-files '*.c' '*.h' '*.cu' '*.cuh' | xargs clang-format -i

completions: $(BUILD)/slmctl ## write completions/ again after options changed
	$(Q)for s in bash zsh fish; do $(BUILD)/slmctl completion $$s > completions/slmctl.$$s || exit 1; done

MAN1 := $(sort $(wildcard man/*.1))
MAN5 := $(sort $(wildcard man/*.5))
MAN7 := $(sort $(wildcard man/*.7))
BASE := $(sort $(wildcard data/base/*))
UNITS := $(patsubst data/systemd/%,%,$(sort $(wildcard data/systemd/*)))
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Units name the program where it is installed.
$(addprefix $(BUILD)/units/,$(UNITS)): $(BUILD)/units/%: data/systemd/% always
	$(Q)mkdir -p $(@D) && sed 's|/usr/bin/slmctl|$(BINDIR)/slmctl|' $< > $@

# Each installed file as SOURCE=TARGET: install and uninstall share the list.
INSTALLED := \
  $(BUILD)/slmctl=$(BINDIR)/slmctl \
  $(foreach f,$(MAN1),$(f)=$(MANDIR)/man1/$(notdir $(f))) \
  $(foreach f,$(MAN5),$(f)=$(MANDIR)/man5/$(notdir $(f))) \
  $(foreach f,$(MAN7),$(f)=$(MANDIR)/man7/$(notdir $(f))) \
  $(foreach f,$(BASE),$(f)=$(DATADIR)/slmctl/base/$(notdir $(f))) \
  $(foreach f,$(UNITS),$(BUILD)/units/$(f)=$(UNITDIR)/$(f)) \
  $(foreach f,$(wildcard $(CUDA_SO)),$(f)=$(PLUGINDIR)/$(notdir $(f))) \
  completions/slmctl.bash=$(DATADIR)/bash-completion/completions/slmctl \
  completions/slmctl.zsh=$(DATADIR)/zsh/vendor-completions/_slmctl \
  completions/slmctl.fish=$(DATADIR)/fish/vendor_completions.d/slmctl.fish \
  LICENSE=$(DATADIR)/doc/slmctl/copyright data/NOTICE=$(DATADIR)/doc/slmctl/NOTICE

# In place by a rename: on a full disk, and for who runs them, the old ones stay.
install: $(BUILD)/slmctl $(addprefix $(BUILD)/units/,$(UNITS)) ## install below $(DESTDIR)$(PREFIX)
	$(Q)for p in $(INSTALLED); do s=$${p%%=*} t='$(DESTDIR)'$${p#*=}; m=644; \
	  [ $$s = $(BUILD)/slmctl ] && m=755; \
	  install -D -m $$m $$s "$$t.new" && mv -f "$$t.new" "$$t" || { rm -f "$$t.new"; exit 1; }; done

uninstall: ## remove what install wrote
	$(Q)for p in $(INSTALLED); do rm -f '$(DESTDIR)'$${p#*=}; done
	$(Q)rm -f '$(DESTDIR)'$(PLUGINDIR)/$(notdir $(CUDA_SO))
	$(Q)for d in $(DATADIR)/slmctl/base $(DATADIR)/slmctl $(DATADIR)/doc/slmctl $(PLUGINDIR); do \
	  [ ! -d '$(DESTDIR)'$$d ] || rmdir '$(DESTDIR)'$$d; done

deb: $(BUILD)/slmctl ## a Debian package in build/
	$(Q)sh data/debian/package.sh $(VERSION) $(MAKE)

base-model: $(BUILD)/slmctl $(BUILD)/agentgen ## train the shipped base model again: up to an hour
	$(Q)SLMCTL=$(BUILD)/slmctl AGENTGEN=$(BUILD)/agentgen sh data/agent/base-model.sh

# The shipped logs: the same bytes for the same zstd. Needs the zstd program.
agent-logs: $(BUILD)/agentgen ## write the agent's logs in data/agent/ again
	$(Q)$(BUILD)/agentgen logs --out build/agent
	$(Q)for f in logs.jsonl gold.jsonl planted.txt; do \
	  zstd -q -19 -f build/agent/$$f -o data/agent/$$f.zst || exit 1; done

clean: ## remove build/
	$(Q)rm -rf build

help: ## list these targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t18

.PHONY: agent-logs base-model all cuda cuda-check cuda-report emulated check-emulated check-gpu gpu-bundle unit check check-lint check-unit check-fuzz check-cli check-slow \
        fuzz fuzz-figures fuzz-link deps check-deps ci-deps demo bench bench-proxy format completions install \
        uninstall deb clean help always
-include $(patsubst %.o,%.d,$(LIB_O) $(CMD_O) $(CUDA_O) $(EMULATED_O) $(EMULATED_WGMMA) $(KERNELS_WIDE) build/cuda/tests/gpu/gpu_wgmma.cu.o \
           $(call obj,$(TEST_C) $(BENCH_C) $(SLOW_C) $(TOOL_C) $(NAMES_C) $(FUZZ_C) $(wildcard tests/gpu/*.c)))
