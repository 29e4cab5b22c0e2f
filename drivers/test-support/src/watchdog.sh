# Stops a cluster that nobody uses any more and deletes its directory.
#
#   sh -c SCRIPT watchdog DIRECTORY SECONDS
#
# Users hold a shared lock on DIRECTORY/lease. Once an exclusive one has been available for SECONDS,
# it is kept: whoever comes then waits for it and finds the cluster gone.

directory=$1
seconds=$2
quiet=0

trap '' HUP
exec 8>>"$directory/watchdog" 9<>"$directory/lease" || exit 1
# One watchdog is enough.
flock -n 8 || exit 0

# Sends signal $1 to the Postgres processes that work in the cluster's directory, deleted or not, and
# says in $left whether there were any.
signal_all() {
    left=0
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd" 2>/dev/null) in
            "$directory"/*) ;;
            *) continue ;;
        esac
        case $(cat "$process/comm" 2>/dev/null) in
            postgres | initdb)
                left=1
                kill "-$1" "${process#/proc/}" 2>/dev/null
                ;;
        esac
    done
}

# Every process in turn gets five seconds to leave by itself, then is killed.
stop_cluster() {
    signal_all QUIT
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ "$left" = 0 ] && break
        sleep 0.5
        signal_all 0
    done
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ "$left" = 0 ] && break
        signal_all KILL
        sleep 0.1
    done
    rm -rf "$directory"
    # Whoever waits for the lease may hold the next lock.
    exec 9>&-
    # The directory around it goes with its last cluster. It is the lock of whoever adds one.
    base=${directory%/*}
    exec 7<"$base" && flock -w 10 7 && rmdir "$base" 2>/dev/null
}

# Without the locks: it goes on for a moment when this process is killed.
while sleep 1 8>&- 9>&-; do
    if [ ! -d "$directory" ]; then
        # Deleted with the cluster's end, or by somebody under a running server.
        stop_cluster
        exit 0
    fi
    if flock -n 9; then
        if [ "$quiet" -ge "$seconds" ]; then
            stop_cluster
            exit 0
        fi
        flock -u 9
        quiet=$((quiet + 1))
    else
        quiet=0
    fi
done
