# Sourced by the scripts that need a switch of their own: throwaway_start BUILD starts one on a free port in a temporary
# folder, and whatever ends the script ends the switch and removes the folder. Sets $folder, $admin and $address.
throwaway_end() {
    local status=$? pid
    trap - EXIT INT TERM
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
    exit "$status"
}

throwaway_start() {
    local build=$1 tries
    folder=$(mktemp -d "${TMPDIR:-/tmp}/tern-XXXXXX")
    admin=$folder/admin.sock
    trap throwaway_end EXIT
    trap 'exit 130' INT TERM
    "$build/ternd" --data "$folder/store" --listen 127.0.0.1:0 --admin "$admin" >"$folder/ternd.out" 2>"$folder/ternd.log" &
    switch=$!
    for ((tries = 0; tries < 100; tries++)); do
        address=$(sed -n 's/^ready //p' "$folder/ternd.out" | head -n 1)
        [ -z "$address" ] || return 0
        kill -0 "$switch" 2>/dev/null || break
        sleep 0.1
    done
    echo "the switch did not start:" >&2
    cat "$folder/ternd.out" "$folder/ternd.log" >&2
    return 1
}
