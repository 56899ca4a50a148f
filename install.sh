#!/usr/bin/env bash
# Sets Harborsite up and starts it; run again, it upgrades and restarts. `--no-start` does all but start, `--with-proxy`
# adds nginx, MariaDB and rsyslog, `--uninstall` takes away what this made and keeps the data.
# Every step can be broken off: what it makes appears whole or not at all, and the next run goes on from there.
set -euo pipefail
[[ -z ${HARBOR_CFG:-} ]] || HARBOR_CFG=$(realpath -m -- "$HARBOR_CFG") # it is relative to where the caller stands
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly LOG=$PWD/.install.log
readonly PYTHON=.venv/bin/python
readonly POLICY=/usr/sbin/policy-rc.d
child=
step_open=
holds_services=

usage() {
    echo "usage: ./install.sh [--with-proxy] [--no-start]"
    echo "       ./install.sh --uninstall"
    say "Sets Harborsite up from harbor.cfg and starts it. Run again, it upgrades and restarts.\n"
    say "  --with-proxy  with nginx in front, rsyslog, and MariaDB unless harbor.cfg names a database; stays so\n"
    say "  --no-start    do all but start\n"
    say "  --uninstall   stop everything and take it away; harbor.cfg and the data stay\n"
}

# Prints a message, which is a format of printf, with its arguments: in Chinese where the locale asks for it.
declare -A CHINESE=()
case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
zh*) source deploy/install.zh.sh ;;
esac
say() {
    # shellcheck disable=SC2059 # the formats are ours
    printf -- "${CHINESE[$1]:-$1}" "${@:2}"
}

# Prints a text as wide as 22 letters; a Chinese one is as wide as two, and three bytes where the locale is not there.
column() {
    local wide=${1//[ -~]/} sample=中
    printf '%s%*s' "$1" $((22 - ${#1} + ${#wide} - 2 * ${#wide} / ${#sample})) ""
}

step() { column "$(say "$1")"; step_open=1; }
done_with() { say "$@"; printf '\n'; step_open=; }
fail() {
    let_services_start
    [[ -z $step_open ]] || { say "failed"; printf '\n'; }
    { printf 'install.sh: '; say "$@"; printf '\n'; } >&2
    exit 1
}

interrupted() {
    trap '' INT TERM
    if [[ -n $child ]]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        while kill -0 -- "-$child" 2>/dev/null; do sleep 0.1; done # the next run must not find them at work
    fi
    let_services_start
    { printf '\ninstall.sh: '; say "interrupted; run ./install.sh again to go on\n"; } >&2
    exit 130
}

# Runs a command with its output in $LOG, so that Ctrl-C and SIGTERM are answered while it runs. It has a process group
# of its own, with which its children go, too.
quietly() {
    local status=0
    printf '\n$ %s\n' "$*" >>"$LOG"
    setsid "$@" >>"$LOG" 2>&1 9>&- </dev/null &
    child=$!
    wait "$child" || status=$?
    child=
    return "$status"
}

why() { tail -n 12 "$LOG" | sed 's/^/    /'; }

# --- steps ------------------------------------------------------------------------------------------------

# The newest Python that is there, 3.11 at least; Debian's, where there is none at all.
find_python() {
    step "Python"
    command -v python3 >/dev/null || ! command -v apt-get >/dev/null || newest_python || apt_install python3
    newest_python ||
        fail "Python 3.11 or newer is needed, and there is none. On Debian 12: sudo apt-get install python3"
    done_with "%s" "$("$SYSTEM_PYTHON" -c 'import platform; print(platform.python_version())')"
}

newest_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            SYSTEM_PYTHON=$(command -v "$candidate")
            return
        fi
    done
    return 1
}

compiles() { printf '#include <%s>\n' "$1" | cc -E ${2:+-I"$2"} - >/dev/null 2>&1; }

# Debian's names of what is missing to make the virtual environment: two packages are compiled.
missing_packages() {
    local include
    "$SYSTEM_PYTHON" -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
    include=$("$SYSTEM_PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    command -v cc >/dev/null || echo gcc libc6-dev
    [[ -f $include/Python.h ]] || echo python3-dev
    if ! command -v pkg-config >/dev/null; then
        echo pkg-config default-libmysqlclient-dev
    elif ! pkg-config --exists mysqlclient && ! pkg-config --exists mariadb && ! pkg-config --exists libmariadb; then
        echo default-libmysqlclient-dev
    fi
    compiles ldap.h || echo libldap-dev
    compiles sasl/sasl.h || echo libsasl2-dev
}

install_packages() {
    step "System packages"
    local missing
    read -r -d '' -a missing < <(missing_packages) || true
    if [[ ${#missing[@]} -eq 0 ]]; then
        done_with "nothing missing"
        return
    fi
    apt_install "${missing[@]}"
    done_with "installed %s" "${missing[*]}"
}

apt_install() {
    local line="apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null || fail "this is no Debian: install what Debian calls: %s" "$*"
    [[ $EUID -eq 0 ]] || fail "packages are missing. Run this, then ./install.sh again:\n  %s" "sudo $line"
    export DEBIAN_FRONTEND=noninteractive
    {
        quietly dpkg --configure -a && # what a broken-off apt-get left
            quietly apt-get -o DPkg::Lock::Timeout=300 update &&
            quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
    } || fail "apt-get could not install %s. The end of %s:\n%s" "$*" "$LOG" "$(why)"
}

# The parts that harbor.cfg asks for. The services that Debian would start with their packages stay off: ours are
# started from configurations of their own, and two of each would quarrel over ports.
install_parts() {
    local missing package
    missing=$($PYTHON manage.py parts missing 2>&1) || fail "the configuration cannot be used:\n  %s" "$missing"
    [[ -n $missing ]] || return 0
    step "Packages of parts"
    read -r -d '' -a missing <<<"$missing" || true
    hold_services
    apt_install "${missing[@]}"
    let_services_start
    if command -v systemctl >/dev/null; then # it need not run: what boots later may be an image of this
        for package in "${missing[@]}"; do
            quietly systemctl disable "${package%-*}" || true # the service is named so without -light and -server
        done
    fi
    done_with "installed %s, without Debian's own services" "${missing[*]}"
}

hold_services() {
    [[ $EUID -eq 0 && ! -e $POLICY ]] || return 0
    holds_services=1
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod +x "$POLICY"
}

let_services_start() {
    [[ -z $holds_services ]] || rm -f "$POLICY"
    holds_services=
}

# Each set of requirements has a directory of its own, which .venv points to once it is complete. So the server
# that runs keeps its packages until it is restarted, and a broken-off build is never used.
make_venv() {
    local version wanted
    version=$("$SYSTEM_PYTHON" -c 'import sys; print(*sys.version_info[:2])')
    wanted=.venv-$(printf '%s\n' "$version" "$PWD" | cat - requirements.txt | sha256sum | cut -c1-12)
    if [[ -f $wanted/complete && $(readlink .venv) == "$wanted" ]]; then
        step "Python packages"
        done_with "up to date"
        return
    fi
    [[ -f $wanted/complete ]] || build_venv "$wanted"
    [[ -L .venv || ! -e .venv ]] || { rm -rf .venv-replaced && mv .venv .venv-replaced; }
    ln -sfn "$wanted" .venv.new
    mv -fT .venv.new .venv
}

build_venv() {
    install_packages
    step "Python packages"
    rm -rf "$1"
    quietly "$SYSTEM_PYTHON" -m venv "$1" || fail "the virtual environment cannot be made:\n%s" "$(why)"
    quietly "$1/bin/python" -m pip install --disable-pip-version-check -r requirements.txt ||
        fail "pip could not install requirements.txt. Is there a way to the package index? The end of %s:\n%s" "$LOG" "$(why)"
    touch "$1/complete"
    done_with "installed in %s" "$1"
}

# Only when nothing runs from them any more.
drop_old_venvs() {
    local current directory
    current=$(readlink .venv)
    for directory in .venv-*; do
        [[ ! -d $directory || $directory == "$current" ]] || rm -rf "$directory"
    done
}

make_configuration() {
    step "Configuration"
    if [[ -n ${HARBOR_CFG:-} ]]; then
        [[ -f $HARBOR_CFG ]] || fail "HARBOR_CFG: there is no file %s. Copy harbor.cfg.tmpl there." "$HARBOR_CFG"
        done_with "%s" "$HARBOR_CFG"
    elif [[ -f harbor.cfg ]]; then
        done_with "harbor.cfg"
    else
        install -m 600 harbor.cfg.tmpl harbor.cfg.new # it holds passwords
        mv harbor.cfg.new harbor.cfg
        done_with "harbor.cfg made from harbor.cfg.tmpl"
    fi
}

# Runs one of our commands, which prints a line for each of its steps.
manage() {
    local begin status=0
    begin=$(stat -c %s "$LOG")
    quietly $PYTHON manage.py "$@" || status=$?
    tail -c +$((begin + 1)) "$LOG" | sed '1,/^\$ /d'
    [[ $status -eq 0 ]] || fail "'manage.py %s' stopped. Put right what it says above, then run ./install.sh again." "$*"
}

uninstall() {
    if [[ -x $PYTHON ]]; then
        manage parts remove
        step "Python packages"
        rm -rf .venv .venv-*
        done_with "removed; harbor.cfg and Debian's packages stay"
    else
        step "Python packages"
        done_with "not there: nothing to take away"
    fi
}

main() {
    local start=1 with_proxy="" uninstall="" argument
    for argument; do
        case $argument in
            --no-start) start= ;;
            --with-proxy) with_proxy=1 ;;
            --uninstall) uninstall=1 ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; exit 2 ;;
        esac
    done
    [[ -z $uninstall || $# -eq 1 ]] || { usage >&2; exit 2; }
    exec 9>.install.lock
    # What an interrupted run had started may hold the lock for a moment more.
    flock -w 10 9 || fail "another install.sh is at work here. Wait for it to end."
    trap interrupted INT TERM
    : >"$LOG"
    if [[ -n $uninstall ]]; then
        uninstall
        return
    fi
    find_python
    make_venv
    make_configuration
    [[ -z $with_proxy ]] || manage parts choose
    install_parts
    if [[ -n $start ]]; then
        manage stop
        manage prepare
        manage start
        drop_old_venvs
    else
        manage prepare
    fi
}
main "$@"
