# Tries a command, which may print, until it succeeds: 60 times at most, once in a second. A script that gives up ends with status 124.
attempts_max=60
until_it_succeeds() {
    attempt=1
    while ! "$@"; do
        if test $attempt = $attempts_max; then
            echo "given up after $attempts_max attempts: $*"
            exit 124
        fi
        attempt=$((attempt + 1))
        sleep 1
    done
}
