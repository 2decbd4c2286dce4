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
flavour_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
flavour_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
flavour_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                -fno-sanitize-recover=undefined
ifeq ($(flavour_$(FLAVOUR)),)
$(error FLAVOUR=$(FLAVOUR) is not one of release, lint, asan, tsan, fuzz)
endif

# pkg-config is asked once, and only by goals that compile: `make deps` and `make help` must work before it is there.
PACKAGES := liburing libsodium lmdb inih libcjson
pkg_cflags = $(eval pkg_cflags := $$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))$(pkg_cflags)
pkg_libs = $(eval pkg_libs_$(1) := $$(or $$(pkg_libs_$(1)),$$(shell $(PKG_CONFIG) --libs $(1))))$(pkg_libs_$(1))
libs_of = $(foreach package,$(1),$(call pkg_libs,$(package)))

CPPFLAGS_ALL = -D_GNU_SOURCE -I$(ROOT) $(pkg_cflags) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 $(WARNINGS) -fPIE -pthread $(flavour_$(FLAVOUR)) $(CFLAGS)
LDFLAGS_ALL = -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(flavour_$(FLAVOUR)) $(LDFLAGS)

# -- Sources -------------------------------------------------------------------------------------------------------
find = $(sort $(patsubst $(ROOT)/%,%,$(wildcard $(addprefix $(ROOT)/,$(1)))))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIBRARIES := core io storage client
sources_core := $(call find,core/*.c)
sources_io := $(call find,io/*.c)
sources_storage := $(call find,storage/*.c)
sources_client := $(call find,tools/client/*.c)

# A program: its own sources, the libraries it stands on, the packages it is linked with.
PROGRAMS := ternd ternctl tern ternbench noisevec
sources_ternd := $(call find,tools/ternd/*.c)
libraries_ternd := core io storage
packages_ternd := liburing libsodium lmdb inih libcjson
sources_ternctl := $(call find,tools/ternctl/*.c)
libraries_ternctl := core
packages_ternctl := libsodium libcjson
sources_tern := $(call find,tools/tern/*.c)
libraries_tern := client core
packages_tern := libsodium lmdb libcjson
sources_ternbench := $(call find,bench/*.c)
libraries_ternbench := client io core
packages_ternbench := liburing libsodium lmdb libcjson
sources_noisevec := tests/vectors/noisevec.c
libraries_noisevec := core
packages_noisevec := libsodium libcjson
present := $(foreach program,$(PROGRAMS),$(if $(sources_$(program)),$(program)))

sources_support := $(call find,tests/support/*.c)
unit_tests := $(call find,tests/unit/test_*.c)
tsan_tests := $(call find,tests/tsan/*.c)
fuzz_tests := $(call find,tests/fuzz/fuzz_*.c)
unit_programs := $(patsubst %.c,$(BUILD)/%,$(unit_tests))
tsan_programs := $(patsubst %.c,$(BUILD)/%,$(tsan_tests))
fuzz_programs := $(patsubst %.c,$(BUILD)/%,$(fuzz_tests))
test_libraries := client io storage core

archive = $(BUILD)/lib$(1).a
archives = $(foreach library,$(1),$(call archive,$(library)))
group = -Wl,--start-group $(1) -Wl,--end-group

# -- Building ------------------------------------------------------------------------------------------------------
.PHONY: build programs unit-programs tsan-programs fuzz-programs FORCE
build: programs
programs: $(addprefix $(BUILD)/,$(present))
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
	$(call remember,$(shell $(CC) -dumpfullversion 2>/dev/null) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL))

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
	    $$(call group,$$(call archives,$$(libraries_$(1)))) $$(call libs_of,$$(packages_$(1)))
endef
$(foreach name,$(present),$(eval $(call program,$(name))))

test_archives := $(call archives,support $(test_libraries))
link_test = @mkdir -p $(@D) && echo '  LD    $*' && $(CC) $(LDFLAGS_ALL) $(2) -o $@ $< \
    $(call group,$(test_archives)) $(call libs_of,$(PACKAGES) $(1))

$(unit_programs): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(test_archives)
	$(call link_test,criterion)
$(tsan_programs): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(test_archives)
	$(call link_test)
$(fuzz_programs): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(test_archives)
	$(call link_test,,-fsanitize=fuzzer)

.SECONDARY:
built_sources := $(foreach name,$(LIBRARIES) $(present),$(sources_$(name))) $(sources_support) $(unit_tests) $(tsan_tests) \
                 $(fuzz_tests)
-include $(patsubst %.o,%.d,$(call objects,$(built_sources)))
FORCE:
