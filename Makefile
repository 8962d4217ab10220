# The commands of README.md. Variables that may be set: PG (a major version, 14 to 18) or PG_CONFIG, DESTDIR, PROFILE (dev or
# release), CARGO_TARGET_DIR, DEB_DIR.

ifneq ($(filter-out 0 1,$(words $(PG))),)
ifneq ($(MAKECMDGOALS),deb)
$(error only "make deb" takes several versions)
endif
else ifdef PG
export PG_CONFIG := $(shell .ci/postgres $(PG))
ifeq ($(PG_CONFIG),)
$(error Postgres $(PG) cannot be had)
endif
endif
PG_CONFIG ?= pg_config
PROFILE ?= release
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
DEB_DIR ?= $(CARGO_TARGET_DIR)/deb

pg_config_path := $(shell command -v $(PG_CONFIG))
pg_major := $(shell $(PG_CONFIG) --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
built := $(CARGO_TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# Each major version has a library of its own; cargo has one name for all.
library := $(built)/pg$(pg_major)/libpgautofailover.so

.PHONY: build install test simulate model mutants bench demo fmt lint build-extension install-extension regress fuzz-sql servers e2e chaos false-alarms deb docker tutorial upgrade docs

build: build-extension
	cargo build --locked --profile $(PROFILE) -p keeper-agent

# The extension where Postgres looks for it, and pg_autoctl beside Postgres's own programs.
install: build install-extension
	install -d "$(DESTDIR)$$($(PG_CONFIG) --bindir)"
	install -m 755 $(built)/pg_autoctl "$(DESTDIR)$$($(PG_CONFIG) --bindir)/pg_autoctl"

# All tests, fast ones first; the last line adds them up. `.ci/test core` runs one tier. `make test PG=17` runs all of them
# with that version of Postgres.
test:
	.ci/test

# Groups in memory under random faults, one run a seed: SEEDS=100000, SEED=7 (with a log), NODES=5. See docs/testing.md.
simulate:
	cargo test --locked -p pgaf-core --test simulation nothing_acknowledged -- --nocapture

# Explores every situation within the bounds of each check. MODEL_STATES bounds the states a check looks at.
model:
	$(if $(MODEL_STATES),MODEL_STATES=$(MODEL_STATES)) cargo test --locked -p pgaf-core --test model -- --nocapture --test-threads 1

# Wrong rules, one at a time: the simulation or the model check has to find each.
mutants:
	.ci/mutants $(MUTANTS)

# A monitor, two nodes, a writer, and the loss of the primary, on this machine. KEEP=1 leaves it running; RECORDING=FILE makes
# a recording of it, an SVG.
demo:
	.ci/packages build
	KEEP=$(KEEP) $(if $(RECORDING),.ci/recording $(RECORDING)) .ci/demo

# The pauses of a writer when the primary is lost, in groups of two and three, beside those of Debian's pg_auto_failover.
# BENCH_RUNS, BENCH_SYSTEMS; BENCH="host-cut under-load" measures those with that in their names.
bench:
	.ci/packages test
	$(MAKE) --no-print-directory build-extension PROFILE=release
	cargo test --locked --release -p keeper-agent --test e2e -- bench $(BENCH)

# Servers that are set up like those of other people. SERVERS="settings" runs the cases with that in their names.
servers:
	$(MAKE) --no-print-directory build-extension PROFILE=dev
	cargo test --locked -p keeper-agent --test servers -- $(SERVERS)

# Clusters in network namespaces. E2E="frozen" runs the scenarios with that in their names; PGAF_KEEP=1 keeps files.
e2e:
	$(MAKE) --no-print-directory build-extension PROFILE=dev
	cargo test --locked -p keeper-agent --test e2e -- $(E2E)

# Three nodes under random faults that follow from SEED, for DURATION seconds. NODES, ROUNDS, FAULTS, CHAOS_SYSTEMS.
chaos:
	.ci/packages test
	$(MAKE) --no-print-directory build-extension PROFILE=dev
	cargo test --locked -p keeper-agent --test e2e -- chaos

# Disturbances that must not cause a failover, each for DURATION seconds (600) in groups of NODES (2,3), and the limit.
# FALSE_ALARMS="stall latency" chooses those with that in their names.
false-alarms:
	.ci/packages test
	$(MAKE) --no-print-directory build-extension PROFILE=dev
	cargo test --locked -p keeper-agent --test e2e -- false-alarms

# A running pg_auto_failover 2.x becomes this build: Debian's 2.0, or what is below FROM, a directory with usr.
upgrade:
	.ci/packages test
	$(MAKE) --no-print-directory build-extension PROFILE=dev
	$(if $(FROM),PGAF_UPGRADE_FROM=$(abspath $(FROM))) cargo test --locked -p keeper-agent --test e2e -- of_2x

# Debian packages of the program and of the extension, in DEB_DIR; PG="14 15 16" makes one of the extension for each.
deb:
	PROFILE=$(PROFILE) PG_CONFIG=$(PG_CONFIG) .ci/deb $(DEB_DIR) $(PG)

# The image pg_auto_failover:citus, as `docker compose build` in docker/ makes it. DOCKER_FROM=packages takes what `make deb`
# has built, source builds inside; DOCKER_ARGS="--build-arg CITUS=none" and other arguments: see docker/Dockerfile.
DOCKER_FROM ?= source
docker:
	$(if $(filter packages,$(DOCKER_FROM)),$(MAKE) --no-print-directory deb DEB_DIR=target/deb)
	docker build -t pg_auto_failover:citus --target $(DOCKER_FROM) -f docker/Dockerfile $(DOCKER_ARGS) .

# Plays docs/tutorial.md and compares, with Docker where a daemon answers, otherwise with a stand-in for it that has the
# packages. TUTORIAL_ON=docker or stand-in chooses; PGAF_REQUIRE_CITUS=1 makes it a failure that Citus is missing.
tutorial:
	.ci/packages test
	$(MAKE) --no-print-directory deb PROFILE=dev DEB_DIR=$(CARGO_TARGET_DIR)/tutorial/deb
	TUTORIAL_PACKAGES=$(abspath $(CARGO_TARGET_DIR))/tutorial/deb \
		cargo test --locked -p keeper-agent --test e2e -- tutorial

# The documentation as a site with search, in target/docs.
docs:
	.ci/docs

fmt:
	cargo fmt --all

# Format, clippy, how files import each other, the English of messages, and links between pages.
lint:
	.ci/rooms
	.ci/messages --check
	.ci/docs links
	cargo fmt --all -- --check
	cargo clippy --locked --all-targets -p pgaf-core -p keeper-agent -- -D warnings
	cargo clippy --locked -p keeper-agent --test e2e --test servers -- -D warnings
	PGRX_PG_CONFIG_PATH=$(pg_config_path) cargo clippy --locked -p pgaf-extension \
		--no-default-features --features pg$(pg_major) -- -D warnings

# The extension needs the headers of one Postgres, so it is never part of a plain `cargo build`.
build-extension:
	PGRX_PG_CONFIG_PATH=$(pg_config_path) cargo build --locked --profile $(PROFILE) -p pgaf-extension \
		--no-default-features --features pg$(pg_major)
	install -D -m 755 $(built)/libpgautofailover.so $(library)

# Installs what was built: the library, the control file, the SQL. The name of the library is its own, because that of a
# monitor of 2.x may run here; the old name leads to it where nobody else has it. EXTENSION_IS_BUILT=1 takes the library
# as it is.
install-extension: libraries = $(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)
install-extension: extensions = $(DESTDIR)$(shell $(PG_CONFIG) --sharedir)/extension
install-extension: $(if $(EXTENSION_IS_BUILT),,build-extension)
	install -d "$(libraries)" "$(extensions)"
	.ci/beside-2 before "$(extensions)" "$(libraries)"
	install -m 755 $(library) "$(libraries)/pgautofailover3.so"
	ln -sf pgautofailover3.so "$(libraries)/pgautofailover.so"
	install -m 644 pgaf-extension/pgautofailover.control sql/pgautofailover--*.sql "$(extensions)/"
	.ci/beside-2 after "$(extensions)" "$(libraries)"

# The extension's SQL surface, in a temporary server.
regress:
	regress/run

# Random calls of every SQL function by role autoctl_node, for DURATION seconds, from SEED. VERBOSE=1 tells what was said.
fuzz-sql:
	regress/fuzz
