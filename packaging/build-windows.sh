#!/usr/bin/env bash
# Builds the program for Windows on Linux, and packs it with its licences. Usage: packaging/build-windows.sh [--out FOLDER]
# Needs `rustup target add x86_64-pc-windows-gnu`, and mingw-w64.
set -euo pipefail
cd "$(dirname "$0")/.."

out=target/packages
while [[ $# -gt 0 ]]; do
    case $1 in
        --out) out=$2; shift 2 ;;
        *) echo "unknown: $1" >&2; exit 2 ;;
    esac
done
target=x86_64-pc-windows-gnu
command -v x86_64-w64-mingw32-gcc >/dev/null || { echo "x86_64-w64-mingw32-gcc is missing; Debian has it in mingw-w64" >&2; exit 1; }
cargo build --release --locked -p sync-cli --target "$target"
program=${CARGO_TARGET_DIR:-target}/$target/release/oms-sync.exe

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=oms-sync_${version}_$target
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
install -D -m 644 "$program" "$root/$name/oms-sync.exe"
x86_64-w64-mingw32-strip --strip-unneeded "$root/$name/oms-sync.exe"
install -m 644 LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md packaging/windows/*.xml "$root/$name"
mkdir -p "$out"
tar --owner=0 --group=0 -C "$root" -czf "$out/$name.tar.gz" "$name"
echo "$out/$name.tar.gz"
