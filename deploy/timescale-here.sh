#!/usr/bin/env bash
# usage: deploy/timescale-here.sh FOLDER
# Unpacks a real TimescaleDB (PostgreSQL 17, Apache edition) into FOLDER on Debian and its kin: no root, nothing
# installed. The packages come from the distribution's next suite by this machine's own apt settings, with the C
# library they were built for, so each program is started through a small wrapper.
set -euo pipefail

suite=${SUITE:-trixie}
version=${PGV:-17}
folder=$(mkdir -p "$1" && cd "$1" && pwd)
bin=$folder/usr/lib/postgresql/$version/bin
if [ -x "$bin/postgres" ] && "$bin/postgres" --version >/dev/null 2>&1; then
    echo "already there: $("$bin/postgres" --version)"
    exit 0
fi

work=$folder/.apt
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs"
: > "$work/status"
sources=/etc/apt/sources.list.d/debian.sources
[ -s "$sources" ] || sources=/etc/apt/sources.list
mirror=$(awk '/^URIs:/{print $2; exit} /^deb /{for(i=2;i<=NF;i++) if($i ~ /^(http|mirror)/){print $i; exit}}' "$sources")
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$work/sources.list"

apt=(apt-get -qq
    -o "Dir::State=$work" -o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/status"
    -o "Dir::Cache=$work/cache" -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o Acquire::Languages=none -o APT::Sandbox::User= -o Debug::NoLocking=1)
"${apt[@]}" update

# What the server itself needs, and nothing of what a whole system would add.
needed='postgresql(-client)?-[0-9]+(-timescaledb)?|lib(pq5|c6|gcc-s1|gssapi-krb5-2|krb5-3|k5crypto3|krb5support0|com-err2|keyutils1|icu[0-9]+|ldap2|sasl2-2|lz4-1|pam0g|audit1|cap-ng0|selinux1|pcre2-8-0|ssl3t64|stdc\+\+6|systemd0|cap2|uuid1|xml2(-[0-9]+)?|lzma5|xslt1\.1|zstd1|readline8t64|tinfo6|xxhash0|numa1|uring2)|zlib1g|tzdata|libc-bin'
"${apt[@]}" install --print-uris -y --no-install-recommends "postgresql-$version-timescaledb" \
    | awk '{split($2, part, "_"); print part[1]}' | grep -E "^($needed)$" > "$work/packages"
grep -qx libxxhash0 "$work/packages" || echo libxxhash0 >> "$work/packages"
(cd "$work/debs" && xargs "${apt[@]}" download < "$work/packages")
for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$folder"; done

home=$folder/usr/lib/postgresql/$version
libraries=$folder/usr/lib/$(uname -m)-linux-gnu
loader=$(cd "$libraries" && ls ld-linux-*.so.* | head -1)
rm -rf "$work" "$folder/etc" "$folder/var" "$home"/lib/bitcode "$home"/lib/llvmjit*
mkdir -p "$home/libexec"
for program in "$home"/bin/*; do
    name=${program##*/}
    mv "$program" "$home/libexec/$name"
    cat > "$program" <<WRAPPER
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
libraries=\$(cd "\$here/../../../../.." && pwd)/usr/lib/$(uname -m)-linux-gnu
exec "\$libraries/$loader" --argv0 "\$here/$name" --library-path "\$libraries" "\$here/../libexec/$name" "\$@"
WRAPPER
    chmod 755 "$program"
done
"$home/bin/postgres" --version
