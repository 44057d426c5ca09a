# The usual commands. `just` lists them; docs/testing.md describes what each suite covers.

_list:
    @just --list --unsorted

# Check everything that a change must pass.
ci:
    .ci/run

# Build the program, optimised.
build:
    cargo build --release --locked -p sync-cli

# Build the Debian package.
deb:
    packaging/build-deb.sh

# Build one static file for any Linux of this processor. Needs the musl target of rustup, and musl-gcc.
static:
    packaging/build-static.sh

# Build the program for Windows, on Linux. Needs the target x86_64-pc-windows-gnu of rustup, and mingw-w64.
windows:
    packaging/build-windows.sh

# Run every test, doc tests included.
test *args:
    cargo test --workspace {{ args }}

# Run the end-to-end tests whose name contains a text, such as `just suite healing::`.
suite name="":
    cargo test -p sync-tests --test suite {{ name }}

# Run one test file of the program, such as `just program desk doctor`.
program file *args:
    cargo test -p sync-cli --test {{ file }} -- {{ args }}

# Format the code.
fmt:
    cargo fmt --all

# Run the lints that CI runs.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy -p sync-core --no-default-features --locked -- -D warnings

# Check licences, sources, advisories and duplicate crates. Needs cargo-deny and a network.
deny:
    cargo deny check

# Show a central server and two sites that exchange every record type.
demo *args:
    cargo run --release -p sync-cli -- demo {{ args }}

# Show the same with a stand-in for the legacy server beside them.
demo-legacy:
    cargo test --release -p oms-sync-demo --test legacy -- --nocapture

# Simulate fresh worlds for some seconds; add --legacy or --files for other kinds of worlds.
sim seconds="60" *args:
    cargo run --release -p sync-sim -- --seconds {{ seconds }} {{ args }}

# Repeat one simulated world and print what happens in it.
sim-seed seed *args:
    cargo run --release -p sync-sim -- --seed {{ seed }} --trace {{ args }}

# Plant each bug and count the seeds until the simulator finds it.
mutations *args:
    cargo run --release -p sync-sim --features planted-bugs -- --mutations --seeds 2000 {{ args }}

# Kill real processes in this many rounds.
kill rounds="200":
    OMS_KILL_ROUNDS={{ rounds }} cargo test -p sync-cli --test kill -- --nocapture

# Run one fuzz target's kept and made inputs, such as `just fuzz requests 20000`.
fuzz target="" inputs="2000":
    OMS_SYNC_FUZZ_INPUTS={{ inputs }} cargo test -p sync-tests --test suite fuzz::{{ target }}

# Run one benchmark: first_sync, first_legacy_sync, selection or files.
bench name *args:
    cargo bench -p sync-cli --bench {{ name }} -- {{ args }}

# Put load on a central server.
load *args:
    cargo build --release -p sync-cli
    cargo run --release -p sync-load -- {{ args }}

# Measure the memory of real processes with many records.
memory records="60000":
    OMS_MEMORY_RECORDS={{ records }} cargo test --release -p sync-cli --test memory -- --nocapture

# Renew every page and snapshot that is generated; read the difference before you commit it.
docs:
    UPDATE_DOCS=1 cargo test -p sync-tests record_types::page
    UPDATE_DOCS=1 cargo test -p sync-cli --test explain
    UPDATE_DOCS=1 cargo test -p sync-cli --test help
    INSTA_UPDATE=always cargo test -p sync-tests snapshots

# Take the pictures of the status page anew; look at them before you commit them. Needs chromium and chromedriver.
pictures:
    UPDATE_DOCS=1 OMS_SYNC_BROWSER=required cargo test -p sync-cli --test server the_pictures_in_the_description

# Open the documentation of the library.
doc:
    cargo doc -p sync-core --no-deps --open
