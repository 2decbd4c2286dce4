# tern. `make help` lists what there is; `make run` and `make test` need nothing but git, make and root or sudo.
#
# One set of rules builds every flavour: a sanitizer or lint build is this Makefile again with another BUILD and FLAVOUR.

SHELL := /bin/sh
ifeq ($(MAKELEVEL),0)
ifeq ($(findstring j,$(filter-out --%,$(MAKEFLAGS))),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.SUFFIXES:

# -- What a caller may set -----------------------------------------------------------------------------------------
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
SECONDS ?= 10
SEEDS ?= 2000
FLAVOUR ?= release
PKG_CONFIG ?= pkg-config
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin AR),default)
AR := ar
endif

# -- Flags ---------------------------------------------------------------------------------------------------------
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wvla -Wstrict-prototypes
hardening := -fstack-protector-strong -D_FORTIFY_SOURCE=2
flavour_release := -O2 -g $(hardening)
flavour_lint := -O2 -g $(hardening) -Werror
not_clang := $(if $(findstring clang,$(CC)),,-Wno-format-truncation) # guesses wrong under sanitizers
flavour_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
flavour_tsan := -O1 -g $(not_clang) -fno-omit-frame-pointer -fsanitize=thread
flavour_torture := $(flavour_release) -DTERN_CRASH_POINTS
flavour_mutants := -O2 -g $(hardening) -DTERN_MUTANTS
# A small table of refused keys: its sets overflow soon, and no execution spends its time on clearing it. Nor on
# passing over thousands of sealed messages.
flavour_fuzz := -O2 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                -fno-sanitize-recover=undefined -DREFUSED_MAX=32 -DRATCHET_SKIP_MAX=300u
ifeq ($(flavour_$(FLAVOUR)),)
$(error FLAVOUR=$(FLAVOUR) is not one of release, lint, asan, tsan, fuzz, torture, mutants)
endif

# pkg-config is asked once, and only by goals that compile: `make deps` and `make help` must work before it is there.
PACKAGES := liburing libsodium lmdb inih libcjson libqrencode
pkg_cflags = $(eval pkg_cflags := $$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))$(pkg_cflags)
pkg_libs = $(eval pkg_libs_$(1) := $$(or $$(pkg_libs_$(1)),$$(shell $(PKG_CONFIG) --libs $(1))))$(pkg_libs_$(1))
libs_of = $(foreach package,$(1),$(call pkg_libs,$(package)))

CPPFLAGS_ALL = -D_GNU_SOURCE -I$(ROOT) $(pkg_cflags) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 $(WARNINGS) -fPIE -pthread $(flavour_$(FLAVOUR)) $(CFLAGS)
LDFLAGS_ALL = -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(flavour_$(FLAVOUR)) $(LDFLAGS)

# -- Sources -------------------------------------------------------------------------------------------------------
find = $(sort $(patsubst $(ROOT)/%,%,$(wildcard $(addprefix $(ROOT)/,$(1)))))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIBRARIES := core io storage client bench daemon control app
sources_core := $(call find,core/*.c)
sources_io := $(call find,io/*.c)
sources_storage := $(call find,storage/*.c)
sources_client := $(call find,tools/client/*.c tools/client/e2e/*.c)
# Programs without their main(), for the unit tests; ternbench without its own core/port.h in place of io's, too.
sources_bench := $(filter-out bench/main.c bench/micro_route.c,$(call find,bench/*.c))
sources_daemon := $(filter-out %/main.c,$(call find,tools/ternd/*.c))
sources_control := $(filter-out %/main.c,$(call find,tools/ternctl/*.c))
sources_app := $(filter-out %/main.c,$(call find,tools/tern/*.c))

# A program: its own sources, the libraries it stands on, the packages it is linked with.
PROGRAMS := ternd ternctl tern ternbench noisevec e2evec e2esecrets disk_cuts ternsim store_fill
sources_ternd := $(call find,tools/ternd/*.c)
libraries_ternd := core io storage
packages_ternd := liburing libsodium lmdb inih libcjson
sources_ternctl := $(call find,tools/ternctl/*.c)
libraries_ternctl := core
packages_ternctl := libsodium libcjson
sources_tern := $(call find,tools/tern/*.c)
libraries_tern := client core
packages_tern := libsodium lmdb libcjson libqrencode
sources_ternbench := $(call find,bench/*.c)
libraries_ternbench := client io core
packages_ternbench := liburing libsodium lmdb libcjson
sources_noisevec := tests/vectors/noisevec.c
libraries_noisevec := core
packages_noisevec := libsodium libcjson
sources_e2evec := tests/vectors/e2evec.c
libraries_e2evec := client core
packages_e2evec := libsodium lmdb
sources_e2esecrets := tests/vectors/secrets.c
libraries_e2esecrets := client core
packages_e2esecrets := libsodium lmdb
sources_disk_cuts := tests/disk/cuts.c
libraries_disk_cuts := storage io core
packages_disk_cuts := liburing libsodium lmdb
sources_store_fill := tests/disk/fill.c
libraries_store_fill := storage io core
packages_store_fill := liburing libsodium lmdb
# What tests/sim supplies comes first: these objects of the libraries are then not taken.
sources_ternsim := $(call find,tests/sim/*.c)
libraries_ternsim := client storage core
packages_ternsim := libsodium lmdb
whole = $(if $(sources_$(1)),$(if $(strip $(foreach part,$(libraries_$(1)),$(if $(sources_$(part)),,lacking))),,$(1)))
present := $(foreach program,$(PROGRAMS),$(call whole,$(program)))

sources_support := $(call find,tests/support/*.c)
unit_tests := $(call find,tests/unit/test_*.c)
tsan_tests := $(call find,tests/tsan/*.c)
fuzz_tests := $(call find,tests/fuzz/fuzz_*.c)
unit_programs := $(patsubst %.c,$(BUILD)/%,$(unit_tests))
tsan_programs := $(patsubst %.c,$(BUILD)/%,$(tsan_tests))
fuzz_programs := $(patsubst %.c,$(BUILD)/%,$(fuzz_tests))
test_libraries := bench daemon control app client io storage core

archive = $(BUILD)/lib$(1).a
archives = $(foreach library,$(1),$(call archive,$(library)))
group = -Wl,--start-group $(1) -Wl,--end-group

# -- Building ------------------------------------------------------------------------------------------------------
.PHONY: build programs unit-programs tsan-programs fuzz-programs FORCE
build: programs ## build a release into build/; plain make does the same
programs: $(addprefix $(BUILD)/,$(present)) $(BUILD)/callgrind_shim.so
unit-programs: $(unit_programs)
tsan-programs: $(tsan_programs)
fuzz-programs: $(fuzz_programs)

# Rewritten only when its text changes, so that another compiler, flag or list of files rebuilds what it touches.
define remember
@mkdir -p $(@D)
@printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
endef

$(BUILD)/flags: FORCE
	@command -v $(firstword $(CC)) >/dev/null || { echo 'no $(firstword $(CC)): run `make deps` first' >&2; exit 1; }
	@$(PKG_CONFIG) --exists $(PACKAGES) || { echo 'libraries are missing: run `make deps` first' >&2; exit 1; }
	$(call remember,$(shell $(CC) --version 2>/dev/null | head -n 1) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL))

$(BUILD)/obj/%.o: $(ROOT)/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $*.c'
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

define library
$(BUILD)/$(1).list: FORCE
	$$(call remember,$$(sources_$(1)))

$(BUILD)/lib$(1).a: $$(call objects,$$(sources_$(1))) $(BUILD)/$(1).list
	@echo '  AR    lib$(1).a'
	@rm -f $$@ && $$(AR) rcs $$@ $$(call objects,$$(sources_$(1)))
endef
$(foreach name,$(LIBRARIES) support,$(eval $(call library,$(name))))

define program
$(BUILD)/$(1).list: FORCE
	$$(call remember,$$(sources_$(1)))

$(BUILD)/$(1): $$(call objects,$$(sources_$(1))) $$(call archives,$$(libraries_$(1))) $(BUILD)/$(1).list
	@echo '  LD    $(1)'
	@$$(CC) $$(LDFLAGS_ALL) -o $$@ $$(call objects,$$(sources_$(1))) \
	    $$(call group,$$(call archives,$$(libraries_$(1)))) $$(call libs_of,$$(packages_$(1))) -lm
endef
$(foreach name,$(present),$(eval $(call program,$(name))))

# Preloaded into a ternd: a disk that remembers and fails.
$(BUILD)/disk_shim.so: $(ROOT)/tests/disk/shim.c $(ROOT)/tests/disk/record.h $(BUILD)/flags
	@echo '  LD    disk_shim.so'
	@$(CC) -D_GNU_SOURCE -I$(ROOT) -std=gnu17 $(WARNINGS) -O2 -fPIC -shared -pthread -o $@ $< -ldl

# Preloaded into a ternd that runs under valgrind.
$(BUILD)/callgrind_shim.so: $(ROOT)/bench/shim/callgrind.c $(BUILD)/flags
	@echo '  LD    callgrind_shim.so'
	@$(CC) -D_GNU_SOURCE -std=gnu17 $(WARNINGS) -O2 -fPIC -shared -o $@ $< -ldl

test_archives := $(call archives,support $(test_libraries))
# tests/support/curve_memo.c
curve_memo := -Wl,--wrap=crypto_scalarmult -Wl,--wrap=crypto_scalarmult_base
link_test = @mkdir -p $(@D) && echo '  LD    $*' && $(CC) $(LDFLAGS_ALL) $(2) -o $@ $< \
    $(call group,$(test_archives)) $(call libs_of,$(PACKAGES) $(1)) -lm

$(unit_programs): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(test_archives)
	$(call link_test,criterion)
$(tsan_programs): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(test_archives)
	$(call link_test)
$(fuzz_programs): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(test_archives)
	$(call link_test,,-fsanitize=fuzzer $(curve_memo))

# -- Setting up and running ----------------------------------------------------------------------------------------
.PHONY: help deps deps-test run demo bench bench-full
help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(ROOT)/Makefile | \
	    while IFS='|' read -r goal text; do printf '  make %-12s %s\n' "$$goal" "$$text"; done
	@echo
	@echo '  BUILD=DIR builds elsewhere, CC=clang with another compiler, WITHOUT_DEPS=1 never calls apt.'

deps: ## install what building needs, with apt, saying what and why
	@$(if $(WITHOUT_DEPS),:,$(ROOT)/tools/dev/deps build)

deps-test: ## the same for testing and linting
	@$(if $(WITHOUT_DEPS),:,$(ROOT)/tools/dev/deps test)

# One goal after the other, whatever -j says: nothing compiles before its compiler is there.
run: deps ## install, build and start ternd on 127.0.0.1:7440, its store under var/tern
	@$(MAKE) build
	@mkdir -p var/tern
	@TERN_HINTS=1 exec $(BUILD)/ternd --data var/tern --listen 127.0.0.1:7440

demo: deps ## two accounts, a message to one that is away, its three ticks, and a load figure
	@$(MAKE) build
	@$(ROOT)/tools/dev/demo $(BUILD)

bench: deps ## measure, and print the targets beside what was reached; under 5 minutes
	@$(MAKE) build
	@$(ROOT)/tools/dev/bench $(BUILD)

bench-full: deps ## the same with medians of five and a million connections
	@$(MAKE) build
	@$(ROOT)/tools/dev/bench $(BUILD) --full --keep $(BUILD)/bench

# -- Testing -------------------------------------------------------------------------------------------------------
.PHONY: test test-programs sim mutants test-kernel torture lint layers fuzz format compile-commands
CLANG ?= clang
flavour = $(MAKE) BUILD=$(BUILD)/$(1) FLAVOUR=$(1)
have_fuzzer = $(and $(fuzz_tests),$(shell command -v $(CLANG)))

test: deps-test ## install, build, run every test; ends with `N passed, N failed`
	@$(MAKE) test-programs
	@$(ROOT)/tools/dev/run-tests --build $(BUILD) $(if $(ONLY),--only '$(ONLY)')

test-programs:
	@$(MAKE) programs $(BUILD)/disk_shim.so
	@+$(call flavour,asan) programs unit-programs
	@+$(call flavour,tsan) tsan-programs
	@+$(if $(have_fuzzer),$(call flavour,fuzz) CC=$(CLANG) fuzz-programs)

sim: deps-test ## run the switch in a simulated world where everything goes wrong: SEEDS=N (2000)
	@$(MAKE) $(BUILD)/ternsim
	@$(BUILD)/ternsim --twice --seeds 1-20
	@$(BUILD)/ternsim --list $(ROOT)/tests/sim/failed_seeds.txt --seeds 1-$(SEEDS)

mutants: deps-test ## plant faults in the switch and the client: the simulator has to catch each
	@+$(call flavour,mutants) $(BUILD)/mutants/ternsim
	@$(BUILD)/mutants/ternsim --mutants

lint: deps-test ## format, clang-tidy, cppcheck, sizes, and both compilers with -Werror
	@$(MAKE) BUILD=$(BUILD)/lint-gcc FLAVOUR=lint CC=gcc programs unit-programs tsan-programs
	@$(MAKE) BUILD=$(BUILD)/lint-clang FLAVOUR=lint CC=$(CLANG) programs unit-programs tsan-programs
	@PKG_FLAGS='$(pkg_cflags)' $(ROOT)/tools/dev/lint

layers: deps-test ## check which folder includes which
	@$(ROOT)/tools/dev/layers

fuzz: deps-test ## run each fuzz target for SECONDS (10)
	@+$(call flavour,fuzz) CC=$(CLANG) fuzz-programs
	@$(ROOT)/tools/dev/fuzz $(BUILD)/fuzz $(SECONDS)

torture: deps-test ## a minute of kills, power cuts, failing disks, bad networks, tiny everything: KILL_SECONDS=N (25)
	@$(MAKE) programs $(BUILD)/disk_shim.so
	@+$(call flavour,torture) $(BUILD)/torture/ternd $(BUILD)/torture/ternbench
	@KILL_SECONDS=$(KILL_SECONDS) $(ROOT)/tools/dev/torture $(BUILD)

test-kernel: deps ## short system tests inside Debian 12's kernel 6.1, in qemu
	@$(MAKE) programs
	@$(ROOT)/tools/dev/test-kernel $(BUILD)

format: ## rewrite our files as .clang-format says
	@$(ROOT)/tools/dev/format

# -- Installing ----------------------------------------------------------------------------------------------------
.PHONY: install uninstall clean
INSTALLED := $(filter ternd ternctl tern ternbench,$(PROGRAMS))
bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man
unitdir = $(DESTDIR)$(if $(filter /usr,$(PREFIX)),/lib,$(PREFIX)/lib)/systemd/system
sampledir = $(DESTDIR)$(PREFIX)/share/doc/tern

install: programs ## install under DESTDIR and PREFIX
	@install -d $(bindir) $(unitdir) $(sampledir)
	@install -m 755 $(addprefix $(BUILD)/,$(INSTALLED)) $(bindir)
	@sed 's|@bindir@|$(PREFIX)/bin|' $(ROOT)/packaging/ternd.service >$(unitdir)/ternd.service
	@chmod 644 $(unitdir)/ternd.service
	@$(BUILD)/ternd --sample-config >$(sampledir)/ternd.conf
	@for page in ternd.8 ternctl.1 tern.1; do \
	    man=$(mandir)/man$${page##*.}; install -d $$man; \
	    $(BUILD)/$${page%.*} --man >$$man/$$page 2>/dev/null || rm -f $$man/$$page; \
	done
	@install -m 644 $(ROOT)/LICENSE $(ROOT)/README.md $(wildcard $(ROOT)/docs/*.md) $(sampledir)
	@echo 'installed under $(DESTDIR)$(PREFIX); sample settings in $(PREFIX)/share/doc/tern/ternd.conf'

uninstall: ## remove what install put there
	@rm -f $(addprefix $(bindir)/,$(INSTALLED)) $(mandir)/man8/ternd.8 $(mandir)/man1/ternctl.1 $(mandir)/man1/tern.1
	@rm -f $(unitdir)/ternd.service
	@rm -rf $(sampledir)

clean: ## remove what was built
	@rm -rf $(BUILD)

.SECONDARY:
built_sources := $(foreach name,$(LIBRARIES) $(present),$(sources_$(name))) $(sources_support) $(unit_tests) $(tsan_tests) \
                 $(fuzz_tests)
-include $(patsubst %.o,%.d,$(call objects,$(built_sources)))
FORCE:
