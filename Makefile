# tern: `make help` lists the targets. Everything is built out of tree, into $(BUILD).

BUILD ?= build
CC ?= cc
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
DESTDIR ?=
SECONDS ?= 10
VERSION := 0.1.0

MAKEFLAGS += --no-builtin-rules
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wvla -Wstrict-prototypes -Wmissing-prototypes
STANDARD := -std=gnu17 -D_GNU_SOURCE -DTERN_VERSION='"$(VERSION)"' -I.
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
OPTIMISE ?= -O2 -g
SANITIZE ?=
WERROR ?=
CFLAGS_ALL = $(STANDARD) $(WARNINGS) $(WERROR) $(if $(SANITIZE),-O1 -g -fno-omit-frame-pointer $(SANITIZE),$(OPTIMISE) $(HARDENING)) \
	-pthread $(CFLAGS)
LDFLAGS_ALL = -pthread $(if $(SANITIZE),$(SANITIZE),-pie -Wl,-z,relro,-z,now) $(LDFLAGS)

PACKAGES := liburing libsodium lmdb inih libcjson
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

LIBRARIES := core io storage tools/client
SOURCES := $(foreach library,$(LIBRARIES),$(wildcard $(library)/*.c))
ARCHIVES := $(LIBRARIES:%=$(BUILD)/lib/%.a)
PROGRAMS := $(BUILD)/ternd $(BUILD)/ternctl $(BUILD)/tern $(BUILD)/ternbench $(BUILD)/noisevec

ternd_SOURCES := $(wildcard tools/ternd/*.c)
ternctl_SOURCES := $(wildcard tools/ternctl/*.c)
tern_SOURCES := $(wildcard tools/tern/*.c)
ternbench_SOURCES := $(wildcard bench/*.c)
noisevec_SOURCES := tests/vectors/noisevec.c

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
TSAN_TESTS := $(patsubst tests/tsan/%.c,$(BUILD)/plain/%,$(wildcard tests/tsan/*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

.PHONY: all build deps deps-test run test demo bench lint format layers fuzz install uninstall clean help \
	programs unit-tests tsan-tests fuzzers FORCE
.SECONDARY:

all: programs ## build everything into build/

build: programs ## only build

programs: $(PROGRAMS)

# --- compiling ------------------------------------------------------------------------------------------------------

# Other flags than last time: everything is compiled again.
FLAGS_TEXT = $(CC) $(CFLAGS_ALL) $(PKG_CFLAGS) $(LDFLAGS_ALL)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' > $@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS_ALL) $(PKG_CFLAGS) -MMD -MP -c $< -o $@

define library_rule
$(BUILD)/lib/$(1).a: $(call objects,$(wildcard $(1)/*.c))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach library,$(LIBRARIES),$(eval $(call library_rule,$(library))))

define program_rule
$(BUILD)/$(1): $(call objects,$($(1)_SOURCES)) $(ARCHIVES)
	@echo "  LINK  $$@"
	@$$(CC) $$(LDFLAGS_ALL) $(call objects,$($(1)_SOURCES)) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $$(PKG_LIBS) -o $$@
endef
$(foreach program,$(PROGRAMS:$(BUILD)/%=%),$(eval $(call program_rule,$(program))))

# --- tests ----------------------------------------------------------------------------------------------------------

unit-tests: $(UNIT_TESTS)
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_ALL) $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(PKG_LIBS) \
		$$(pkg-config --libs criterion) -o $@

tsan-tests: $(TSAN_TESTS)
$(BUILD)/plain/%: $(BUILD)/obj/tests/tsan/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_ALL) $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(PKG_LIBS) -o $@

fuzzers: $(FUZZERS)
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(PKG_LIBS) -o $@

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined

test: deps-test ## install what the tests need, build, run all of them
	@$(MAKE) --no-print-directory programs
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE="$(ASAN)" programs unit-tests
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan SANITIZE="-fsanitize=thread" tsan-tests
	@tests/run --build $(BUILD)

fuzz: deps-test ## run every fuzzer for SECONDS=10 each
	@$(MAKE) --no-print-directory CC=clang BUILD=$(BUILD)/fuzzing \
		SANITIZE="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined" fuzzers
	@tools/dev/fuzz $(BUILD)/fuzzing $(SECONDS)

# --- setting up and running --------------------------------------------------------------------------------------------

deps: ## only install what building and running need
	@tools/dev/deps build

deps-test: ## only install what the tests and checks need, too
	@tools/dev/deps test

run: deps ## install, build, start a switch on 127.0.0.1:7440 with its store in ./var/tern
	@$(MAKE) --no-print-directory programs
	@mkdir -p var
	@TERN_HINTS=1 exec $(BUILD)/ternd --data var/tern --listen 127.0.0.1:7440

demo: deps ## a throwaway switch, two accounts, the three ticks, a load figure
	@$(MAKE) --no-print-directory programs
	@tools/dev/demo $(BUILD)

bench: deps ## measure a throwaway switch
	@$(MAKE) --no-print-directory programs
	@$(BUILD)/ternbench pairs

# --- checks -------------------------------------------------------------------------------------------------------------

lint: deps-test ## warnings of gcc and clang, clang-format, clang-tidy, cppcheck, sizes
	@tools/dev/lint $(BUILD)

format: ## lay out the sources
	@clang-format -i $$(git ls-files '*.c' '*.h')

layers: ## check the arrows io -> core <- storage
	@tools/dev/layers

# --- installing -----------------------------------------------------------------------------------------------------------

install: programs ## install into DESTDIR= PREFIX=/usr/local
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/doc/tern $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(BUILD)/ternd $(DESTDIR)$(PREFIX)/sbin/ternd
	install -m 755 $(BUILD)/ternctl $(BUILD)/tern $(BUILD)/ternbench $(DESTDIR)$(PREFIX)/bin
	$(BUILD)/ternd --man > $(DESTDIR)$(PREFIX)/share/man/man8/ternd.8
	$(BUILD)/ternd --sample-config > $(DESTDIR)$(PREFIX)/share/doc/tern/tern.conf
	install -m 644 LICENSE README.md docs/PROTOCOL.md docs/OPERATIONS.md $(DESTDIR)$(PREFIX)/share/doc/tern
	sed 's|@PREFIX@|$(PREFIX)|' packaging/ternd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/ternd.service

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/sbin/ternd $(addprefix $(DESTDIR)$(PREFIX)/bin/,ternctl tern ternbench) \
		$(DESTDIR)$(PREFIX)/share/man/man8/ternd.8 $(DESTDIR)$(PREFIX)/lib/systemd/system/ternd.service
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/tern

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

FORCE:

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
