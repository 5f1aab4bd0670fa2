# What `http/run` and `http-sse/run` have in common. Sourced in the folder of either: installs the libraries there, builds the
# examples, and says how to try the ones with the others.
target=${CARGO_TARGET_DIR:-$PWD/../../target}
out=$target/interop-$(basename "$PWD")
mkdir -p "$out"

# A stamp says what is installed, so that a second run installs nothing.
want=$(cat package-lock.json requirements.txt | cksum)
if [ "$(cat .installed 2>/dev/null)" != "$want" ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
    echo "$want" >.installed
fi
[ -n "${BUILT:-}" ] || cargo build --quiet -p examples --bin everything --bin http_client

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT

# Starts our server; its address is in `url` then.
ours() { # FLAG
    : >"$out/everything.log"
    "$target/debug/everything" "$1" 127.0.0.1:0 2>>"$out/everything.log" &
    pids+=($!)
    for _ in $(seq 100); do
        url=$(sed -n 's#^listening on \(http.*/mcp\)$#\1#p' "$out/everything.log")
        [ -n "$url" ] && return
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    cat "$out/everything.log"
    exit 1
}

# Starts a server of theirs, and tries our client with it: in each of the modes, and where it can ask, with a question.
theirs() { # NAME PATH MODES MODES-THAT-ASK COMMAND...
    local name=$1 path=$2 modes=$3 asking=$4 port mode
    shift 4
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$@" "$port" >"$out/$name.log" 2>&1 &
    pids+=($!)
    for _ in $(seq 150); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        kill -0 $! 2>/dev/null || break
        sleep 0.2
    done
    for mode in $modes; do
        local said=$out/$name-$mode.log expected=('hello: Hello.' 'progress 1' 'progress 3' 'steps: Done.')
        case " $asking " in *" $mode "*) expected+=('ask: Hello, Ada.') ;; esac
        timeout 60 "$target/debug/http_client" "http://127.0.0.1:$port$path" "$mode" >"$said" ||
            { cat "$out/$name.log" "$said"; exit 1; }
        for line in "${expected[@]}"; do
            grep -qFx "$line" "$said" || {
                echo "$name server, $mode: no line '$line' in"
                cat "$said"
                exit 1
            }
        done
        echo "$name server, $(head -1 "$said") ($mode): as it should be"
    done
}
