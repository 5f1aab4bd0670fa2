#!/bin/sh
# Which requirements of an inventory are named in this repository's Rust sources, and which are not.
#
#   scripts/req-coverage.sh <inventory.md> [area …]
#
# A requirement is an identifier `REQ-<area>-<nn>` that opens a row of a table in the inventory. It counts as covered when
# its name stands in a test: in a `*.rs` file under a `tests` directory, or behind the first `#[cfg(test)]` of another
# file. A range such as `REQ-CAP-07…09` counts for the name it spells out. With areas (`CANC TMO`) only
# those are listed. Without the inventory there is nothing to compare with, which is not an error.
set -eu

inventory=${1-}
if [ ! -r "$inventory" ]; then
    echo "req-coverage: no inventory at '${inventory}', skipped"
    exit 0
fi
shift

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n 's/^| *\(REQ-[A-Z0-9]*-[0-9]*\) .*/\1/p' "$inventory" | sort -u >"$work/known"

find "$root" \( -name target -o -name .git -o -name .jj \) -prune -o -name '*.rs' -print |
    while IFS= read -r file; do
        case $file in
        */tests/*) cat "$file" ;;
        *) sed -n '/#\[cfg(test)\]/,$p' "$file" ;;
        esac
    done |
    grep -oE 'REQ-[A-Z0-9]+-[0-9]+' | sort -u >"$work/named" || true

if [ "$#" -gt 0 ]; then
    pattern=$(printf '%s|' "$@")
    for list in known named; do
        grep -E "^REQ-(${pattern%|})-" "$work/$list" >"$work/part" || true
        mv "$work/part" "$work/$list"
    done
fi

list() {
    awk -F- '{ area = $2; numbers[area] = numbers[area] " " $3; if (!(area in seen)) { seen[area] = 1; order[++n] = area } }
             END { for (i = 1; i <= n; i++) printf "  %-6s%s\n", order[i], numbers[order[i]] }' "$1"
}

comm -12 "$work/known" "$work/named" >"$work/covered"
comm -23 "$work/known" "$work/named" >"$work/uncovered"
comm -13 "$work/known" "$work/named" >"$work/unknown"

echo "covered: $(wc -l <"$work/covered" | tr -d ' ') of $(wc -l <"$work/known" | tr -d ' ')"
list "$work/covered"
echo "not covered: $(wc -l <"$work/uncovered" | tr -d ' ')"
list "$work/uncovered"
if [ -s "$work/unknown" ]; then
    echo "named in tests, but not in the inventory:"
    list "$work/unknown"
    exit 1
fi
