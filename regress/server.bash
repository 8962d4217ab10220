# A temporary server with the built extension, for the scripts of this directory to source.
#
# The server is a copy of the installed Postgres into which the extension is put: nothing is installed on the system,
# and no server that runs already is touched. Everything is in $work, and goes when the script ends; with KEEP=1 it
# stays, for a look at the logs.
# Variables: PG_CONFIG, PROFILE (dev or release, default dev).

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_config=$(command -v "${PG_CONFIG:-pg_config}")
profile=${PROFILE:-dev}
bindir=$("$pg_config" --bindir)
sharedir=$("$pg_config" --sharedir)
pkglibdir=$("$pg_config" --pkglibdir)

work=$(mktemp -d "${TMPDIR:-/tmp}/pgaf-regress.XXXXXX")
root=$work/root
data=$work/data

# A server with this set adds Rust's backtraces to its errors.
unset RUST_BACKTRACE RUST_LIB_BACKTRACE

# As root, everything that is Postgres runs as user postgres.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    as_postgres=(setpriv --reuid postgres --regid postgres --init-groups env HOME="$work")
fi

finish() {
    local status=$?
    if [ -f "$data/postmaster.pid" ]; then
        "${as_postgres[@]}" "$root$bindir/pg_ctl" -D "$data" -m immediate -w stop >/dev/null || true
    fi
    if [ "${KEEP:-}" = 1 ]; then
        echo "kept: $work" >&2
    else
        rm -rf "$work"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# A port that nobody listens on now.
free_port() {
    local port
    for port in $(shuf -i 20000-29999 -n 50); do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    echo "no free port found" >&2
    return 1
}

# Builds, and starts a server on $port with the settings that come on standard input.
start_server() {
    # Postgres finds its files relative to the path of its program.
    make --no-print-directory -C "$top" -s install-extension PROFILE="$profile" PG_CONFIG="$pg_config" DESTDIR="$root"
    mkdir -p "$root$bindir"
    cp "$bindir"/{postgres,initdb,pg_ctl} "$root$bindir/"
    cp -rns "$sharedir/." "$root$sharedir/"
    cp -rns "$pkglibdir/." "$root$pkglibdir/"
    [ ${#as_postgres[@]} = 0 ] || chown -R postgres "$work"

    port=$(free_port)
    "${as_postgres[@]}" "$root$bindir/initdb" -D "$data" -A trust -U postgres --no-sync -E UTF8 --locale C \
        >"$work/initdb.log"
    {
        cat <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$work'
shared_preload_libraries = 'pgautofailover3'
CONF
        cat
    } >>"$data/postgresql.conf"
    "${as_postgres[@]}" "$root$bindir/pg_ctl" -D "$data" -l "$work/server.log" -w start >/dev/null
    export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres
}
