#!/usr/bin/env bash
# Builds the Debian package of the program. Usage: packaging/build-deb.sh [--program FILE] [--out FOLDER]
# Without --program it builds the release first. Needs dpkg-deb.
set -euo pipefail
cd "$(dirname "$0")/.."

program='' out=target/packages
while [[ $# -gt 0 ]]; do
    case $1 in
        --program) program=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        *) echo "unknown: $1" >&2; exit 2 ;;
    esac
done
if [[ -z $program ]]; then
    cargo build --release --locked -p sync-cli
    program=${CARGO_TARGET_DIR:-target}/release/oms-sync
fi

version=$("$program" --version | awk '{ print $2 }')
arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

put() { install -D -m "$1" "$2" "$root/$3"; }
put 755 "$program" usr/bin/oms-sync
strip --strip-unneeded "$root/usr/bin/oms-sync"
for unit in oms-sync-central oms-sync-site; do
    put 644 "packaging/systemd/$unit.service" "usr/lib/systemd/system/$unit.service"
    put 644 "packaging/debian/$unit.default" "etc/default/$unit"
done
for page in LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md; do
    put 644 "$page" "usr/share/doc/oms-sync/$page"
done
# The pages that the README links to, under the names of its links.
mkdir -p "$root/usr/share/doc/oms-sync/docs"
cp -r docs/*.md docs/decisions docs/images "$root/usr/share/doc/oms-sync/docs/"
mkdir -p "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions"
"$program" man --dir "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*
"$program" completions bash >"$root/usr/share/bash-completion/completions/oms-sync"
find "$root/usr/share" -type f -exec chmod 644 {} +

mkdir "$root/DEBIAN"
for script in postinst prerm postrm; do
    install -m 755 "packaging/debian/$script" "$root/DEBIAN/$script"
done
printf '/etc/default/%s\n' oms-sync-central oms-sync-site >"$root/DEBIAN/conffiles"
# The program needs the C library that it was linked with, or a newer one.
libc=$(dpkg-query -W -f '${Version}' libc6 | sed 's/-.*//')
cat >"$root/DEBIAN/control" <<CONTROL
Package: oms-sync
Version: $version
Architecture: $arch
Section: net
Priority: optional
Maintainer: The oms-sync developers <oms-sync@example.org>
Installed-Size: $(du -sk --exclude DEBIAN "$root" | cut -f1)
Depends: libc6 (>= $libc), passwd
Recommends: ca-certificates
Description: Synchronisation of Open mSupply
 A remote site of Open mSupply that works offline and synchronises with its
 servers, or the Open mSupply central server. One program with one SQLite file.
CONTROL

mkdir -p "$out"
package=$out/oms-sync_${version}_$arch.deb
dpkg-deb -Zgzip --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
