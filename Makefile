# The commands of the project; `make` alone lists them. What a command needs, scripts/setup installs or names.
#
#   STATIC=no        link husk to the shared libseccomp (where a distribution has no libseccomp.a)
#   PREFIX, DESTDIR  where `make install` puts things (/usr/local, and nothing before it)

SHELL := /bin/bash
.DELETE_ON_ERROR:

PREFIX ?= /usr/local
DESTDIR ?=
STATIC ?= yes
export STATIC

husk := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/release/husk
under_test := $(or $(RUNTIME_UNDER_TEST),$(husk))
bin := $(DESTDIR)$(PREFIX)/bin
man8 := $(DESTDIR)$(PREFIX)/share/man/man8
bash_completions := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zsh_completions := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fish_completions := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

# Every file that starts as a shell script, wherever it lies.
scripts = $(shell grep -rlE '^\#!.*sh$$' scripts .ci integration benches 2>/dev/null)

.PHONY: help
help: ## list these commands
	@echo 'husk, a container runtime. make COMMAND, where COMMAND is one of:'
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r name what; do \
		printf '  %-14s %s\n' "$$name" "$$what"; done

.PHONY: run
run: ## build husk and watch a container live and die (as root)
	@scripts/setup run
	@scripts/build
	@scripts/demo $(husk)

.PHONY: build
build: ## build the static release binary, target/release/husk
	@scripts/setup build
	@scripts/build

.PHONY: test
test: ## run the tests of every package; the black-box ones test the release binary (as root)
	@scripts/setup test
	@scripts/build
	RUNTIME_UNDER_TEST=$(husk) cargo test --workspace --no-fail-fast
	@$(MAKE) --no-print-directory test-embed

.PHONY: test-embed
test-embed: ## build a program outside the workspace that depends on husk-core alone, and run a container with it (as root)
	@# With the versions of the workspace, whose builds it can share in part.
	@cp Cargo.lock examples/embed/Cargo.lock
	@export CARGO_TARGET_DIR=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target); \
	cargo build -q --manifest-path examples/embed/Cargo.toml || exit; \
	if [[ $$(id -u) != 0 ]]; then echo 'test-embed ... SKIPPED: needs root'; [[ $$CI != true ]]; exit; fi; \
	said=$$("$$CARGO_TARGET_DIR"/debug/embed sh -c 'echo process $$$$ on $$(uname -n)'); echo "$$said"; \
	[[ $$said == 'process 1 on embedded'* ]]

.PHONY: conformance
conformance: ## run the black-box tests; RUNTIME_UNDER_TEST=runc tests runc instead of husk
	@scripts/setup test
	@scripts/build
	RUNTIME_UNDER_TEST=$(if $(findstring /,$(under_test)),$(abspath $(under_test)),$(under_test)) \
		cargo test -p husk-conformance

.PHONY: test-security
test-security: ## perform the known attacks, each race 100 times (as root; minutes). RUNTIME_UNDER_TEST as above
	@scripts/setup test
	@scripts/build
	SECURITY_ROUNDS=$(or $(SECURITY_ROUNDS),100) \
		RUNTIME_UNDER_TEST=$(if $(findstring /,$(under_test)),$(abspath $(under_test)),$(under_test)) \
		cargo test -p husk-conformance --test security

.PHONY: fuzz
fuzz: ## look for inputs that break husk, led by coverage, for MINUTES (10) on one processor
	@scripts/setup build fuzz
	scripts/fuzz $(or $(MINUTES),10)

.PHONY: soak
soak: ## the long forms: 2,000 containers; each race 1,000 times; faults at all system calls; a million inputs (as root; hours)
	@scripts/setup test
	@scripts/build
	scripts/soak $(husk)
	@$(MAKE) --no-print-directory test-security SECURITY_ROUNDS=1000
	FUZZ_ROUNDS=1000000 cargo test -p husk-fuzz

.PHONY: compatibility
compatibility: ## test husk, runc and crun with the same tests, and write docs/compatibility.md (as root, some minutes)
	@scripts/setup engines
	@scripts/build
	@cargo test -q -p husk-conformance --test conformance --no-run
	@scripts/compatibility $(husk) \
		"$$(cargo test -p husk-conformance --test conformance --no-run --message-format=json 2>/dev/null | \
			sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)"

.PHONY: test-engines
test-engines: ## run husk under containerd, CRI, Docker and Podman, in throwaway namespaces (as root)
	@scripts/setup engines
	@scripts/build
	@scripts/build-cri
	RUNTIME=$(or $(RUNTIME),$(husk)) integration/run short

.PHONY: test-engines-all
test-engines-all: ## the same at length: all of Docker, builds, a registry, Compose, Swarm, crashes, load, what people run
	@scripts/setup engines
	@scripts/build
	@scripts/build-cri
	RUNTIME=$(or $(RUNTIME),$(husk)) integration/run all
	RUNTIME=$(or $(RUNTIME),$(husk)) integration/vm/engines

.PHONY: matrix
matrix: ## run every check of the engines with husk, runc and crun, and time them; writes integration/README.md (as root, an hour)
	@scripts/setup engines
	@scripts/build
	@scripts/build-cri
	RUNTIME=$(husk) integration/matrix

.PHONY: test-vm
test-vm: ## run the black-box tests in a machine with systemd and cgroup v2 alone, made once; SHORT=yes: those about cgroups (as root)
	@scripts/setup engines
	@scripts/build
	RUNTIME=$(or $(RUNTIME),$(husk)) integration/vm/run $(if $(SHORT),--short)
	RUNTIME=$(or $(RUNTIME),$(husk)) integration/vm/run --selinux

.PHONY: test-vm-deep
test-vm-deep: ## in a machine with all controllers and two processors, emulated where there is no KVM: the tests about those (as root, long)
	@scripts/setup engines
	@scripts/build
	RUNTIME=$(or $(RUNTIME),$(husk)) integration/vm/run --engine qemu --deep

.PHONY: bench
bench: ## measure husk beside crun, runc and the kernel's own floor; writes docs/performance.md (as root, some minutes)
	@scripts/setup engines
	@scripts/build
	benches/run
	benches/systemd

.PHONY: order
order: ## write anew in which order the linker lays what a start runs: scripts/start-functions.ld (as root, some minutes)
	@scripts/setup test
	@scripts/order

.PHONY: lint
lint: ## check the format, lints and documentation of the sources, and the scripts
	@scripts/setup lint
	cargo fmt --all --check
	cargo fmt --manifest-path integration/cri/Cargo.toml --check
	shellcheck $(scripts)
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

.PHONY: deny
deny: ## check the licences, advisories and sources of the dependencies (builds cargo-deny once, some minutes)
	@scripts/setup build
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
	cargo deny check

.PHONY: install
install: ## put husk, its man pages and its completions under PREFIX
	@# Under sudo there is often no cargo: then what was built before is installed.
	@if [[ ! -x $(husk) ]] || command -v cargo >/dev/null; then $(MAKE) --no-print-directory build; fi
	install -d $(bin) $(man8) $(bash_completions) $(zsh_completions) $(fish_completions)
	install -m 0755 $(husk) $(bin)/husk
	$(husk) man --dir $(man8)
	$(husk) completion bash >$(bash_completions)/husk
	$(husk) completion zsh >$(zsh_completions)/_husk
	$(husk) completion fish >$(fish_completions)/husk.fish

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f $(bin)/husk $(man8)/husk.8 $(man8)/husk-*.8 $(bash_completions)/husk $(zsh_completions)/_husk \
		$(fish_completions)/husk.fish

.PHONY: test-fresh
test-fresh: ## prove `make run` and `make test` in a bare Debian root, in throwaway namespaces (as root)
	@scripts/fresh-root

.PHONY: dist
dist: ## pack the static binary, man pages and completions as a tar archive, in target/dist
	@scripts/package tar

.PHONY: deb
deb: ## the same as a Debian package
	@scripts/package deb
