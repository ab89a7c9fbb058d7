#!/bin/bash
# What only a machine with a GPU can show: one line a part, and the end of its log where it failed, exit status 0 if all
# passed, in less than 8 minutes. It needs neither Go nor a toolkit, only what `make gpu-check-build` has put into build/gpu/, in a checkout of the same commit.
#   scripts/gpu_check.sh [--contract PATH] [--only PART,PART] [--device N]
# PATH is a wire-contract check kept outside this repository, run with --bin and --model. The log of each part is in $LOGS,
# a new folder by default.
set -u
cd "$(dirname "$0")/.."
self=$PWD/scripts/gpu_check.sh

bin=$PWD/build/gpu model=$PWD/deploy/demo/model device=0 contract='' only='' run=''
while [ $# -gt 0 ]; do
    case $1 in
    --contract) contract=${2:?--contract takes a path} ;;
    --only) only=,${2:?--only takes parts},  ;;
    --device) device=${2:?--device takes an index} ;;
    --run) run=1 && shift && break ;; # one part, by this script itself: a function with its arguments
    *) echo "gpu_check: $1 is no flag; see the head of $0" >&2; exit 2 ;;
    esac
    shift 2
done
[ -x "$bin/llorch-cuda" ] || { echo "gpu_check: $bin/llorch-cuda is missing: run make gpu-check-build where Go is, and bring build/gpu/ here" >&2; exit 2; }
export LOGS=${LOGS:-$(mktemp -d)}
logs=$LOGS failed=0 began=$SECONDS worker=
mkdir -p "$logs"
export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-$device} LLORCH_TEST_DEVICE=cuda
trap '[ -z "$worker" ] || kill -9 "$worker" 2>/dev/null' EXIT
trap 'exit 124' TERM

# part NAME SECONDS COMMAND...: runs a function of this file with a limit, and says how it ended.
part() {
    local name=$1 limit=$2 from=$SECONDS rc
    shift 2
    case $only in '' | *,$name,*) ;; *) return ;; esac
    timeout -k 5 "$limit" "$self" --run "$@" >"$logs/$name.log" 2>&1
    rc=$?
    if [ $rc = 0 ]; then
        printf 'ok    %-16s %4d s  %s\n' "$name" $((SECONDS - from)) "$(grep -h '^note: ' "$logs/$name.log" | tail -1 | cut -c7-150)"
        return
    fi
    failed=1
    [ $rc = 124 ] && echo "want less than $limit s" >>"$logs/$name.log"
    printf 'FAIL  %-16s %4d s  status %d, %s: %s\n' "$name" $((SECONDS - from)) $rc "$logs/$name.log" \
        "$(grep -hE -- '^=+ +[A-Z].*([Ii]nvalid|misaligned|[Hh]azard|[Ee]rror|Timeout|at 0x)|--- FAIL|^want|not run|panic|rror' "$logs/$name.log" |
            grep -v ' 0 errors' | head -3 | tr '\n' ' ' | cut -c1-400)"
    tail -n 5 "$logs/$name.log" | cut -c1-200 | sed 's/^/      /' >&2
}

# tests FOLDER BINARY PATTERN [FLAG...]: a skipped test has shown nothing, so it fails the part.
tests() {
    local folder=$1 binary=$2 pattern=$3
    shift 3
    ( cd "$folder" && "$bin/$binary" -test.run "$pattern" -test.v -test.timeout 200s "$@" ) | tee "$logs/.out.$binary" | grep -v '^=== '
    [ "${PIPESTATUS[0]}" = 0 ] || return 1
    if grep -q -- '^--- SKIP' "$logs/.out.$binary"; then grep -A1 -- '^--- SKIP' "$logs/.out.$binary"; echo "want none skipped: not run"; return 1; fi
    echo "note: $(grep -cE -- '^ *--- PASS' "$logs/.out.$binary") tests"
}

# --- a worker, and requests to it without curl -----------------------------------------------------------------------
port=$((20000 + RANDOM % 20000))

# start BINARY [NAME=VALUE...]: starts a worker and waits until it is ready; 1 if it ends before.
start() {
    local program=$1
    shift
    : >"$logs/worker.log"
    env "$@" "$bin/$program" serve --model "$model" --port $port --device cuda:0 --log-format json --drain-timeout 2s >"$logs/worker.log" 2>&1 &
    worker=$!
    for _ in $(seq 300); do
        grep -q '"message":"ready"' "$logs/worker.log" && return 0
        kill -0 $worker 2>/dev/null || break
        sleep .1
    done
    wait $worker
    worker=
    grep -oE '"error":.*' "$logs/worker.log" || tail -n 3 "$logs/worker.log"
    return 1
}

ask() { # METHOD PATH BODY
    exec 3<>/dev/tcp/127.0.0.1/$port || return 1
    printf '%s %s HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "$1" "$2" ${#3} "$3" >&3
    cat <&3
    exec 3>&-
}
execute() { ask POST /execute "{\"job_id\":\"$1\",\"prompt\":\"The little fox\",\"max_tokens\":$2,\"temperature\":0}"; }

want() { # WHAT TEXT PATTERN
    grep -qE -- "$3" <<<"$2" && return
    echo "want: $1: $3 in: $(cut -c1-400 <<<"$2" | tail -5)"
    exit 1
}
ended() { # STATUS: the worker has ended by itself with it
    for _ in $(seq 100); do kill -0 $worker 2>/dev/null || break; sleep .1; done
    wait $worker
    local rc=$?
    worker=
    [ $rc = "$1" ] || { echo "want exit status $1, not $rc"; tail -3 "$logs/worker.log"; exit 1; }
}
stop() { kill -TERM $worker && ended 0; }

evidence() {
    start llorch-cuda || return 1
    execute a 20 >/dev/null
    local health
    health=$(ask GET /health '')
    want 'resident' "$health" '"resident":true'
    for class in weights cache scratch context graphs padding unexplained; do want "class $class" "$health" "\"$class\":"; done
    want 'metrics' "$(ask GET /metrics '')" 'llorch_resident_bytes\{class="weights"'
    want 'bytes of the library' "$health" '"device_process_bytes":[1-9]'
    echo "note: $(grep -oE '"resident_bytes":\{[^}]*\}' <<<"$health" | cut -c18-)"
    stop
}

# Failures of the driver on command: see driver.ParseFailures.
launch_failure() {
    start llorch-cuda-faults FAULTY_DRIVER=GraphLaunch@30:719 || return 1
    local out
    out=$(execute a 200)
    want 'the typed error' "$out" '"type":"error","code":"WORKER_UNHEALTHY"'
    [ "$(grep -c '"type":"token"' <<<"$out")" -lt 60 ] || { echo "want no token after the fault"; exit 1; }
    ended 3
}
request_oom() {
    start llorch-cuda-faults FAULTY_DRIVER=GraphLaunch@30:2 || return 1
    want 'VRAM_OOM' "$(execute a 200)" '"type":"error","code":"VRAM_OOM"'
    want 'the next request' "$(execute b 20)" '"type":"end"'
    want 'health' "$(ask GET /health '')" '"status":"healthy"'
    stop
}
start_oom() {
    local at
    for at in 1 2 10 40; do
        start llorch-cuda-faults FAULTY_DRIVER=MemAlloc@$at:2 && { echo "want no start"; exit 1; }
        want 'a sentence' "$(tail -5 "$logs/worker.log")" 'out of device memory'
    done
}
too_large() {
    "$bin/llorch-cuda" serve --model "$model" --port $port --device cuda:0 --kv-cache-mb 9000000 >"$logs/worker.log" 2>&1
    local rc=$?
    want 'a refusal' "$(cat "$logs/worker.log")" 'does not fit on cuda:0: required [0-9]+ bytes .*available [0-9]+ bytes'
    [ $rc = 1 ] || { echo "want exit status 1, not $rc"; exit 1; }
}
bad_device() {
    local d
    for d in cuda:-1 cuda:99; do
        "$bin/llorch-cuda" serve --model "$model" --port $port --device $d >"$logs/worker.log" 2>&1
        local rc=$?
        [ $rc = 1 ] || { echo "want exit status 1 for $d, not $rc"; exit 1; }
        want "a sentence for $d" "$(cat "$logs/worker.log")" 'give (0|cuda:0)'
    done
}
used() { nvidia-smi -i "$CUDA_VISIBLE_DEVICES" --query-gpu=memory.used --format=csv,noheader,nounits | head -1; }
killed() {
    local before after
    before=$(used)
    start llorch-cuda || return 1
    kill -9 $worker
    sleep 3
    worker=
    after=$(used)
    echo "note: $before MiB before, $after MiB 3 s after kill -9"
    [ "$after" -le $((before + 8)) ] || { echo "want no more than $before MiB, not $after"; exit 1; }
}

# sanitized TOOL PATTERN [FLAG...]: tests that every device must pass, and those of kernels, under compute-sanitizer.
sanitized() {
    local tool= kind=$1 pattern=$2
    shift 2
    for tool in "$bin/sanitizer/compute-sanitizer" "$(command -v compute-sanitizer)" /usr/local/cuda/bin/compute-sanitizer; do
        [ -x "$tool" ] && break
    done
    [ -x "$tool" ] || { echo "not run: there is no compute-sanitizer; make gpu-check-build fetches it"; return 1; }
    cd inference/backend/cuda && "$tool" --tool "$kind" "$@" --error-exitcode 9 --launch-timeout 60 "$bin/backend.test" -test.run "$pattern" -test.short -test.v -test.timeout 150s
}

# Kernels are looked up in one module after the other: the driver's answer that there is none is no error.
memcheck() { sanitized memcheck '^TestSuite$' --report-api-errors no; }

# racecheck looks at shared memory, and takes 10 ms a launch and more: these tests run the kernels that have some, once or
# more, and their rings go round. It follows barriers and bulk copies, but credits an arrival with what that lane itself has
# done, not with what others did before a __syncwarp, so that correct rings look like races: here all lanes arrive for
# their warp. That one lane's arrival comes late enough is what TestProductsRepeat shows. Left out are stream_3 and stream_4
# and the rings of stream_1 and stream_2, which have no such switch, and attend_ring, attend_cluster, attend_teams and attend_pairs, where a vote of
# the warp comes before the copy that writes what all its lanes have read: TestAttendRing is for those.
racecheck() {
    LLORCH_TEST_RACECHECK=1 sanitized racecheck '^TestSuite$/^(rmsnorm|linear|attend|attend-long|sample)$|^Test(Rings|GemmRings|AttendWide)$'
}

contract() { python3 "$1" --bin "$bin/llorch-cuda" --model "$model"; }

if [ -n "$run" ]; then
    "$@"
    exit $?
fi
"$bin/llorch-cuda" doctor --device cuda:0 2>&1 | grep -E '^(ok|weak|bad) +cuda' | cut -c1-150
part driver       60 tests inference/backend/cuda/driver driver.test '^Test(StickyError|Graph|CaptureBreaks|StreamsWait|DeviceAnswers|MemoryAnswers|Copies|Launch|SharedMemory|Cluster)$'
part nvml         30 tests inference/backend/cuda/nvml nvml.test '.'
part backendtest  90 tests inference/backend/cuda backend.test '^Test(Suite|OpenContext)$'
part kernels      60 tests inference/backend/cuda backend.test '^Test(ChainAgrees|StreamAgrees|AttendRing|GemmTurns|QuantRows|Records|ProductsRepeat|Rings|GemmRings|Choose|ChooseNotFinite|SetWords)$'
part goldens     120 tests inference inference.test '^Test(Goldens|Checkpoints|WantedRows|GreedyInBatch|DemoGoldens|GGUFGoldens)$'
part batches      60 tests inference inference.test '^Test(SameAtEveryBatch|StepsAhead)$'
part observed     30 tests inference inference.test '^TestAcceleratorIsObserved$'
part evidence     30 evidence
part too_large    20 too_large
part bad_device   20 bad_device
part start_oom    40 start_oom
part request_oom  30 request_oom
part launch_failure 30 launch_failure
part killed       30 killed
[ -z "$contract" ] || part contract 120 contract "$contract"
part memcheck    150 memcheck
part racecheck   200 racecheck
echo "$((SECONDS - began)) s in all"
exit $failed
