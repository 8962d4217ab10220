# The commands of README.md. Variables that may be set: PG_CONFIG, DESTDIR, PROFILE (dev or release), CARGO_TARGET_DIR.

PG_CONFIG ?= pg_config
PROFILE ?= release
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

pg_config_path := $(shell command -v $(PG_CONFIG))
pg_major := $(shell $(PG_CONFIG) --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
built := $(CARGO_TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.PHONY: build-extension install-extension regress

# The extension needs the headers of one Postgres, so it is never part of a plain `cargo build`.
build-extension:
	PGRX_PG_CONFIG_PATH=$(pg_config_path) cargo build --locked --profile $(PROFILE) -p pgaf-extension \
		--no-default-features --features pg$(pg_major)

# Installs what was built: the library, the control file, the SQL.
install-extension: build-extension
	install -d "$(DESTDIR)$$($(PG_CONFIG) --pkglibdir)" "$(DESTDIR)$$($(PG_CONFIG) --sharedir)/extension"
	install -m 755 $(built)/libpgautofailover.so "$(DESTDIR)$$($(PG_CONFIG) --pkglibdir)/pgautofailover.so"
	install -m 644 pgaf-extension/pgautofailover.control sql/pgautofailover--*.sql \
		"$(DESTDIR)$$($(PG_CONFIG) --sharedir)/extension/"

# The extension's SQL surface, in a temporary server.
regress:
	regress/run
