# `make demo` shows Andon at work on a fresh machine; `make test` proves it. Both need Rust, Node and make.
SHELL := /bin/bash
CARGO ?= cargo
DEMO_DATA ?= demo-data
export CARGO_TERM_COLOR ?= auto

.PHONY: demo demo-reset test web web-test rust-build rust-test prove-judging prove-scale prove-notify lint format clippy e2e test-tools clean

# Builds the web app and the release binary side by side, starts Andon and the simulated plant, prints the address.
demo:
	deploy/demo.sh $(DEMO_DATA)

demo-reset:
	rm -rf $(DEMO_DATA)

# Every part runs, whatever becomes of the others; at the end those that failed are listed.
test: test-tools
	deploy/test/all.sh

# What the tests need beside Rust and Node: a browser, an SMTP server, PostgreSQL, Redis, Elasticsearch. Does nothing when they are there.
test-tools:
	deploy/test/tools.sh

web:
	cd web && npm ci --no-audit --no-fund && npm run build

web-test:
	cd web && npm run lint && npm run format:check && npm test

lint: format clippy

format:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

rust-build:
	$(CARGO) test --workspace --locked --no-run
	$(CARGO) build --workspace --bins --locked

# With the servers that ANDON_TEST_…_URL name; those that it does not name are started for it.
rust-test:
	deploy/test/servers.sh -- $(CARGO) test --workspace --locked --no-fail-fast

# Judges 100,000 random histories by the engine and by a naive model of it, and compares. Some minutes; says how far it is.
prove-judging:
	HISTORIES=100000 $(CARGO) test --release --locked -p andon-engine --test judging -- --nocapture

# CPU of a record with 10 and 10,000 rules, with 1,000 and 200,000 devices, their memory, and 5,000 of them silent at once. Prints ratios.
prove-scale:
	SCALE=1 $(CARGO) test --release --locked -p andon-engine --test scale -- --nocapture --test-threads 1

# A thousand simulated nights of the notifier. Some minutes; says how far it is.
prove-notify:
	NIGHTS=1000 $(CARGO) test --release --locked -p andon-actors --test notifier_night -- --nocapture

e2e:
	deploy/test/e2e.sh

clean:
	$(CARGO) clean
	rm -rf web/dist web/node_modules
