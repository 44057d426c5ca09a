#!/usr/bin/env bash
# Builds the program as one static file, and packs it with its licences. Usage: packaging/build-static.sh [--out FOLDER]
# Needs `rustup target add` of the target below, and musl-gcc (Debian: musl-tools).
set -euo pipefail
cd "$(dirname "$0")/.."

out=target/packages
while [[ $# -gt 0 ]]; do
    case $1 in
        --out) out=$2; shift 2 ;;
        *) echo "unknown: $1" >&2; exit 2 ;;
    esac
done
command -v musl-gcc >/dev/null || { echo "musl-gcc is missing; Debian has it in musl-tools" >&2; exit 1; }
target=$(uname -m)-unknown-linux-musl
cargo build --release --locked -p sync-cli --target "$target"
program=${CARGO_TARGET_DIR:-target}/$target/release/oms-sync
# A file that needs a library of the system would not run on another Linux.
if readelf -d "$program" | grep -q NEEDED; then
    echo "$program is not static" >&2
    exit 1
fi

version=$("$program" --version | awk '{ print $2 }')
name=oms-sync_${version}_$target
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
install -D -m 755 "$program" "$root/$name/oms-sync"
strip --strip-unneeded "$root/$name/oms-sync"
install -m 644 LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md "$root/$name"
mkdir -p "$out"
tar --owner=0 --group=0 -C "$root" -czf "$out/$name.tar.gz" "$name"
echo "$out/$name.tar.gz"
